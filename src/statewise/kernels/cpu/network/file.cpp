#include "file.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace statewise::runtime {
namespace {

constexpr uint64_t kMostHeader = 100'000'000;  // bytes

struct Number {
  const char* name;
  int64_t bytes;
};
constexpr Number kNumbers[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
                               {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U8", 1},   {"BOOL", 1}};

int64_t bytes_of(const std::string& dtype) {
  for (const Number& each : kNumbers)
    if (dtype == each.name) return each.bytes;
  throw Damaged("not a whole .safetensors file");
}

template <class U>
U read(const char* from) {
  U value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

float from_half(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = (half >> 10) & 31, fraction = half & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000 | (fraction << 13));
  if (exponent > 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  const float small = float(fraction) * 0x1p-24f;
  return sign ? -small : small;
}

}  // namespace

File read_file(std::string_view data) {
  static_assert(std::endian::native == std::endian::little, "files are read as they lie in memory");
  const auto whole = [](bool condition) {
    if (!condition) throw Damaged("not a whole .safetensors file");
  };
  whole(data.size() >= 8);
  const uint64_t size = read<uint64_t>(data.data());
  whole(size <= std::min<uint64_t>(data.size() - 8, kMostHeader));
  const Json header = Json::parse(data.substr(8, size));
  whole(header.is(Json::Kind::kObject));
  const std::string_view body = data.substr(8 + size);
  File file;
  std::vector<std::pair<int64_t, int64_t>> places;
  for (const auto& [name, entry] : header.members()) {
    if (name == "__metadata__") continue;
    const Json *const dtype = entry.find("dtype"), *const shape = entry.find("shape"),
                      *const offsets = entry.find("data_offsets");
    whole(dtype && shape && offsets && dtype->is(Json::Kind::kText) && shape->is(Json::Kind::kList));
    whole(offsets->is(Json::Kind::kList) && offsets->items().size() == 2);
    Tensor tensor{dtype->text(), {}, nullptr, 1};
    const int64_t bytes = bytes_of(tensor.dtype);
    int64_t begin = 0, end = 0;
    whole(offsets->items()[0].whole(0, begin) && offsets->items()[1].whole(begin, end));
    whole(end <= int64_t(body.size()));
    bool empty = false;
    for (const Json& each : shape->items()) {
      int64_t length = 0;
      whole(each.whole(0, length));
      tensor.shape.push_back(length);
      empty = empty || length == 0;
    }
    for (int64_t length : tensor.shape) {
      if (empty) tensor.count = 0;
      whole(empty || tensor.count <= (end - begin) / bytes / length);
      tensor.count *= empty ? 0 : length;
    }
    whole(tensor.count * bytes == end - begin);
    tensor.data = body.data() + begin;
    places.emplace_back(begin, end);
    whole(file.tensors.emplace(name, std::move(tensor)).second);
  }
  std::sort(places.begin(), places.end());
  int64_t at = 0;
  for (const auto& [begin, end] : places) {
    whole(begin == at);
    at = end;
  }
  whole(at == int64_t(body.size()));
  const Json* const metadata = header.find("__metadata__");
  const Json* const said = metadata ? metadata->find("statewise") : nullptr;
  if (said && said->is(Json::Kind::kText)) file.told = Json::parse(said->text());
  const Json* const content = file.told.find("content");
  if (!content || !content->is(Json::Kind::kObject))
    throw Damaged("expected a file of statewise's, the header says nothing of it");
  return file;
}

template <class T>
std::vector<T> numbers(const Tensor& tensor) {
  std::vector<T> found(static_cast<size_t>(tensor.count));
  const auto all = [&](auto from) {
    for (size_t i = 0; i < found.size(); ++i) found[i] = T(from(i));
  };
  const char* const data = tensor.data;
  const auto plain = [&]<class U>(U) { all([&](size_t i) { return read<U>(data + i * sizeof(U)); }); };
  const std::string& dtype = tensor.dtype;
  if (dtype == "F64") plain(double());
  if (dtype == "F32") plain(float());
  if (dtype == "F16") all([&](size_t i) { return from_half(read<uint16_t>(data + 2 * i)); });
  if (dtype == "BF16")
    all([&](size_t i) { return std::bit_cast<float>(uint32_t(read<uint16_t>(data + 2 * i)) << 16); });
  if (dtype == "I64") plain(int64_t());
  if (dtype == "I32") plain(int32_t());
  if (dtype == "I16") plain(int16_t());
  if (dtype == "I8") plain(int8_t());
  if (dtype == "U8" || dtype == "BOOL") plain(uint8_t());
  return found;
}

template std::vector<float> numbers<float>(const Tensor&);
template std::vector<double> numbers<double>(const Tensor&);

uint32_t crc32(const void* data, size_t size, uint32_t before) {
  uint32_t crc = ~before;
  for (size_t i = 0; i < size; ++i) {
    crc ^= static_cast<const unsigned char*>(data)[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

}  // namespace statewise::runtime
