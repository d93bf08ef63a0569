#include "told.hpp"

namespace statewise {
namespace {

std::string said(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
  return text + ")";
}

}  // namespace

template <class T>
Told<T>::Told(const Json& entry, const std::map<std::string, Tensor>& tensors, std::set<std::string>& used, int threads)
    : entry_(entry), tensors_(tensors), used_(used), threads_(threads) {
  const Json *const op = entry.find("op"), *const name = entry.find("name");
  if (!op || !op->is(Json::Kind::kText)) throw Damaged("expected the ops of a program");
  op_ = op->text();
  if (name && !name->is(Json::Kind::kText)) throw Damaged("expected the names of ops");
  name_ = name ? name->text() : op_;
}

template <class T>
void Told<T>::refuse(const std::string& expected) const {
  throw Damaged(name_ + ": expected " + expected);
}

template <class T>
int64_t Told<T>::count(const char* option, int64_t least) const {
  const Json* const found = find(option);
  int64_t number = 0;
  if (!found || !found->whole(least, number))
    refuse(std::string(option) + " to be a whole number from " + std::to_string(least) + " on");
  return number;
}

template <class T>
int64_t Told<T>::count(const char* option, int64_t least, int64_t otherwise) const {
  return find(option) ? count(option, least) : otherwise;
}

template <class T>
double Told<T>::number(const char* option, double otherwise) const {
  const Json* const found = find(option);
  if (found && !found->is(Json::Kind::kNumber)) refuse(std::string(option) + " to be a number");
  return found ? found->number() : otherwise;
}

template <class T>
bool Told<T>::flag(const char* option, bool otherwise) const {
  const Json* const found = find(option);
  if (found && !found->is(Json::Kind::kBool)) refuse(std::string(option) + " to be true or false");
  return found ? found->truth() : otherwise;
}

template <class T>
std::string Told<T>::word(const char* option) const {
  const Json* const found = find(option);
  if (!found || !found->is(Json::Kind::kText)) refuse(std::string(option) + " to be a name");
  return found->text();
}

template <class T>
bool Told<T>::has(const std::string& tensor) const {
  return tensors_.count(name_ + "." + tensor) > 0;
}

template <class T>
template <class U>
std::vector<U> Told<T>::array(const std::string& tensor, std::vector<int64_t> shape,
                              std::vector<int64_t>* found) const {
  const std::string full = name_ + "." + tensor;
  const auto at = tensors_.find(full);
  if (at == tensors_.end()) throw Damaged("there is no tensor " + full);
  const std::vector<int64_t>& own = at->second.shape;
  bool fits = own.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] < 0 || shape[i] == own[i];
  if (!fits) throw Damaged("expected " + full + " of size " + said(shape) + ", got " + said(own));
  used_.insert(full);
  if (found) *found = own;
  std::vector<U> made = numbers<U>(at->second);
  const auto unit = tensors_.find(full + ".scale");  // in which the rows of a matrix in eight bits are counted
  if (at->second.dtype != "I8" || unit == tensors_.end()) return made;
  if (unit->second.dtype != "F32" || own.empty() || unit->second.shape != std::vector<int64_t>{own[0]})
    throw Damaged("expected " + unit->first + " to have a number for each row");
  used_.insert(unit->first);
  const std::vector<U> scale = numbers<U>(unit->second);
  for (size_t i = 0; i < made.size(); ++i) made[i] *= scale[i / (made.size() / scale.size())];
  return made;
}

template class Told<float>;
template class Told<double>;
template std::vector<float> Told<float>::array(const std::string&, std::vector<int64_t>, std::vector<int64_t>*) const;
template std::vector<double> Told<float>::array(const std::string&, std::vector<int64_t>, std::vector<int64_t>*) const;
template std::vector<double> Told<double>::array(const std::string&, std::vector<int64_t>, std::vector<int64_t>*) const;

}  // namespace statewise
