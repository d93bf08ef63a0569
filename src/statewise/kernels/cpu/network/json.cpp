#include "json.hpp"

#include <charconv>
#include <cmath>

namespace statewise::runtime {

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  Json all() {
    Json found = value(0);
    blanks();
    if (at_ != end_) fail();
    return found;
  }

 private:
  static constexpr int kDeepest = 64;
  static constexpr int64_t kMostValues = 2'000'000;

  [[noreturn]] static void fail() { throw Damaged("not JSON"); }

  void blanks() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  char next() {
    if (at_ == end_) fail();
    return *at_++;
  }

  bool take(char c) {
    blanks();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }

  void word(std::string_view rest) {
    for (char c : rest)
      if (next() != c) fail();
  }

  Json value(int depth) {
    if (depth > kDeepest || ++values_ > kMostValues) fail();
    blanks();
    Json v;
    switch (const char c = next()) {
      case 'n':
        word("ull");
        break;
      case 't':
        word("rue");
        v.kind_ = Json::Kind::kBool, v.number_ = 1;
        break;
      case 'f':
        word("alse");
        v.kind_ = Json::Kind::kBool;
        break;
      case '"':
        v.kind_ = Json::Kind::kText, v.text_ = text();
        break;
      case '[':
        v.kind_ = Json::Kind::kList;
        if (take(']')) break;
        do v.items_.push_back(value(depth + 1));
        while (take(','));
        if (!take(']')) fail();
        break;
      case '{':
        v.kind_ = Json::Kind::kObject;
        if (take('}')) break;
        do {
          if (!take('"')) fail();
          std::string name = text();
          if (!take(':')) fail();
          v.members_.emplace_back(std::move(name), value(depth + 1));
        } while (take(','));
        if (!take('}')) fail();
        break;
      default:
        if (c != '-' && (c < '0' || c > '9')) fail();
        --at_;
        v.kind_ = Json::Kind::kNumber, v.number_ = number();
    }
    return v;
  }

  double number() {
    const char* const first = at_;
    const auto digits = [&] {
      const char* const from = at_;
      while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
      if (at_ == from) fail();
    };
    if (*at_ == '-') ++at_;
    if (at_ != end_ && *at_ == '0')
      ++at_;
    else
      digits();
    if (at_ != end_ && *at_ == '.') ++at_, digits();
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      digits();
    }
    double found = 0;
    const auto [stopped, error] = std::from_chars(first, at_, found);
    if (error != std::errc() || stopped != at_) fail();  // beyond what a double holds
    return found;
  }

  unsigned four() {
    unsigned code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = next();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail();
      code = code * 16 + unsigned(digit);
    }
    return code;
  }

  std::string text() {
    std::string found;
    while (true) {
      const char c = next();
      if (c == '"') return found;
      if (static_cast<unsigned char>(c) < 0x20) fail();
      if (c != '\\') {
        found += c;
        continue;
      }
      switch (const char escaped = next()) {
        case '"':
        case '\\':
        case '/':
          found += escaped;
          break;
        case 'b':
          found += '\b';
          break;
        case 'f':
          found += '\f';
          break;
        case 'n':
          found += '\n';
          break;
        case 'r':
          found += '\r';
          break;
        case 't':
          found += '\t';
          break;
        case 'u': {
          unsigned code = four();
          if (code >= 0xd800 && code < 0xdc00 && end_ - at_ >= 6 && at_[0] == '\\' && at_[1] == 'u') {
            at_ += 2;
            const unsigned low = four();
            if (low < 0xdc00 || low > 0xdfff) fail();
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          }
          if (code >= 0xd800 && code < 0xe000) code = 0xfffd;  // half of a pair
          append(found, code);
          break;
        }
        default:
          fail();
      }
    }
  }

  static void append(std::string& to, unsigned code) {
    const auto rest = [&](int shift) { to += char(0x80 | ((code >> shift) & 0x3f)); };
    if (code < 0x80) {
      to += char(code);
    } else if (code < 0x800) {
      to += char(0xc0 | (code >> 6)), rest(0);
    } else if (code < 0x10000) {
      to += char(0xe0 | (code >> 12)), rest(6), rest(0);
    } else {
      to += char(0xf0 | (code >> 18)), rest(12), rest(6), rest(0);
    }
  }

  const char *at_, *end_;
  int64_t values_ = 0;
};

namespace {

// Whether text is UTF-8: no bytes that begin nothing, no overlong forms, no halves of pairs.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) { return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u; };
    const unsigned first = byte(0);
    const int more = first < 0x80 ? 0 : first < 0xc2 ? -1 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : -1;
    if (more < 0) return false;
    for (int k = 1; k <= more; ++k)
      if ((byte(size_t(k)) & 0xc0) != 0x80) return false;
    const unsigned second = byte(1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
        (first == 0xf4 && second > 0x8f))
      return false;
    i += size_t(more) + 1;
  }
  return true;
}

}  // namespace

Json Json::parse(std::string_view text) {
  if (!is_utf8(text)) throw Damaged("not JSON");
  return JsonReader(text).all();
}

bool Json::whole(int64_t least, int64_t& to) const {
  if (kind_ != Kind::kNumber || !(number_ >= double(least) && number_ <= 9007199254740992.0)) return false;
  if (number_ != std::floor(number_)) return false;
  to = int64_t(number_);
  return true;
}

const Json* Json::find(std::string_view name) const {
  for (auto i = members_.rbegin(); i != members_.rend(); ++i)
    if (i->first == name) return &i->second;
  return nullptr;
}

}  // namespace statewise::runtime
