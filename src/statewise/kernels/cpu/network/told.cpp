#include "told.hpp"

#include <cmath>
#include <cstdio>

namespace statewise::runtime {
namespace {

constexpr size_t kLongest = 80;  // characters of what a message shows

std::string said(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
  return text + (shape.size() == 1 ? ",)" : ")");
}

void append(std::string& text, const Json& value) {
  if (text.size() > kLongest) return;
  char number[32];
  switch (value.kind()) {
    case Json::Kind::kNull:
      text += "None";
      break;
    case Json::Kind::kBool:
      text += value.truth() ? "True" : "False";
      break;
    case Json::Kind::kNumber:
      std::snprintf(number, sizeof number, "%.17g", value.number());
      text += number;
      break;
    case Json::Kind::kText:
      text += "'" + value.text() + "'";
      break;
    case Json::Kind::kList:
      text += "[";
      for (size_t i = 0; i < value.items().size(); ++i) {
        if (i) text += ", ";
        append(text, value.items()[i]);
      }
      text += "]";
      break;
    case Json::Kind::kObject:
      text += "{...}";
      break;
  }
}

}  // namespace

std::string said(const Json* value) {
  std::string text;
  append(text, value ? *value : Json());
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';  // a message is one line
  if (text.size() <= kLongest) return text;
  size_t end = kLongest;  // not within a character
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text;
}

template <class T>
Told<T>::Told(const Json& entry, Materials& materials) : entry_(entry), materials_(materials) {
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
void Told<T>::refuse(const std::string& expected, const std::string& got) const {
  refuse(expected + ", got " + got);
}

template <class T>
int64_t Told<T>::count(const char* option, int64_t least) const {
  const Json* const found = find(option);
  int64_t number = 0;
  if (!found || !found->whole(least, number))
    refuse(std::string(option) + " to be a whole number from " + std::to_string(least) + " on", said(found));
  return number;
}

template <class T>
int64_t Told<T>::count(const char* option, int64_t least, int64_t otherwise) const {
  return find(option) ? count(option, least) : otherwise;
}

template <class T>
double Told<T>::number(const char* option, double otherwise) const {
  const Json* const found = find(option);
  if (found && !(found->is(Json::Kind::kNumber) && std::isfinite(found->number())))
    refuse(std::string(option) + " to be a number", said(found));
  return found ? found->number() : otherwise;
}

template <class T>
bool Told<T>::flag(const char* option, bool otherwise) const {
  const Json* const found = find(option);
  if (found && !found->is(Json::Kind::kBool)) refuse(std::string(option) + " to be true or false", said(found));
  return found ? found->truth() : otherwise;
}

template <class T>
std::string Told<T>::word(const char* option) const {
  const Json* const found = find(option);
  if (!found || !found->is(Json::Kind::kText)) refuse(std::string(option) + " to be a name", said(found));
  return found->text();
}

template <class T>
bool Told<T>::has(const std::string& tensor) const {
  return materials_.tensors.count(name_ + "." + tensor) > 0;
}

template <class T>
template <class U>
std::vector<U> Told<T>::array(const std::string& tensor, std::vector<int64_t> shape,
                              std::vector<int64_t>* found) const {
  const std::string full = name_ + "." + tensor;
  const auto at = materials_.tensors.find(full);
  if (at == materials_.tensors.end()) throw Damaged("there is no tensor " + full);
  const std::vector<int64_t>& own = at->second.shape;
  bool fits = own.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] < 0 || shape[i] == own[i];
  if (!fits) throw Damaged("expected " + full + " of size " + said(shape) + ", got " + said(own));
  materials_.used.insert(full);
  if (found) *found = own;
  std::vector<U> made = numbers<U>(at->second);
  const auto unit =
      materials_.tensors.find(full + ".scale");  // in which the rows of a matrix in eight bits are counted
  if (at->second.dtype != "I8" || unit == materials_.tensors.end()) return made;
  if (unit->second.dtype != "F32" || own.empty() || unit->second.shape != std::vector<int64_t>{own[0]})
    throw Damaged("expected " + unit->first + " to have a number for each row");
  materials_.used.insert(unit->first);
  const std::vector<U> scale = numbers<U>(unit->second);
  for (size_t i = 0; i < made.size(); ++i) made[i] *= scale[i / (made.size() / scale.size())];
  return made;
}

template class Told<float>;
template class Told<double>;
template std::vector<float> Told<float>::array(const std::string&, std::vector<int64_t>, std::vector<int64_t>*) const;
template std::vector<double> Told<float>::array(const std::string&, std::vector<int64_t>, std::vector<int64_t>*) const;
template std::vector<double> Told<double>::array(const std::string&, std::vector<int64_t>, std::vector<int64_t>*) const;

}  // namespace statewise::runtime
