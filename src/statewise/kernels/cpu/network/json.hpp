// JSON as a file's header has it: read whole, strictly, and within bounds.

#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace statewise::runtime {

// A file that is damaged, foreign or of a later version.
struct Damaged : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Json {
 public:
  enum class Kind { kNull, kBool, kNumber, kText, kList, kObject };

  // Throws Damaged for what isn't JSON (RFC 8259), or is nested or large beyond what a header needs.
  static Json parse(std::string_view text);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }

  // Each for its kind alone.
  bool truth() const { return number_ != 0; }
  double number() const { return number_; }
  const std::string& text() const { return text_; }
  const std::vector<Json>& items() const { return items_; }
  const std::vector<std::pair<std::string, Json>>& members() const { return members_; }

  // A number that is whole, from `least` to 2^53; else false.
  bool whole(int64_t least, int64_t& to) const;

  // The member of an object of this name, the last one as in Python; null where there is none, or this is no object.
  const Json* find(std::string_view name) const;

 private:
  friend class JsonReader;
  Kind kind_ = Kind::kNull;
  double number_ = 0;
  std::string text_;
  std::vector<Json> items_;
  std::vector<std::pair<std::string, Json>> members_;
};

}  // namespace statewise::runtime
