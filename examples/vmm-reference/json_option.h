// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "failure.h"

namespace vmm::reference {

/// A member of a JSON object and the key of an option's value that means the same.
struct JsonMember {
  enum class Kind : std::uint8_t {
    kText,      ///< a string
    kNumber,    ///< a whole number
    kEither,    ///< a string or a whole number
    kToggle,    ///< a boolean
    kSwitch,    ///< a boolean whose `false` means nothing: of keys that are only refused, or off
    kNumbers,   ///< [1, 2]
    kTexts,     ///< ["a", "b"]
    kTopology,  ///< the object of the four numbers of a CPU topology
    kAffinity,  ///< [{"vcpu": 0, "host_cpus": [1, 2]}], or "queue_index" for the index
    kMode,      ///< "Pty" and the like, with the path beside it; the keys are the modes
  };

  std::string_view json;  ///< "a/b": a member of a member
  std::string_view key;
  Kind kind;
};

/// Writes a JSON object as the value of an option of the command line. Its strings are quoted, so
/// that nothing in them is grammar.
class JsonOption {
 public:
  /// `option` begins the messages of failures. Borrows `object`.
  JsonOption(std::string_view option, const boost::json::object& object)
      : option_(option), object_(object) {}

  /// Writes those of the members that are there and not null. Failures: of another type than they
  /// should be.
  Outcome<void> add(std::span<const JsonMember> members);
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  Outcome<void> add(const JsonMember& member, const boost::json::value& value);
  Outcome<void> add_text(const JsonMember& member, const boost::json::value& value);
  Outcome<void> add_mode(const boost::json::value& value);
  [[nodiscard]] Outcome<std::string> list(const JsonMember& member,
                                          const boost::json::value& value) const;
  [[nodiscard]] Outcome<std::string> topology(const boost::json::value& value) const;
  [[nodiscard]] Outcome<std::string> affinity(const JsonMember& member,
                                              const boost::json::value& value) const;
  void put(std::string_view key, std::string_view text);

  std::string_view option_;
  const boost::json::object& object_;
  std::string text_;
};

/// "option: member: not `what`".
[[nodiscard]] Failure wrong_json(std::string_view option, std::string_view member,
                                 const char* what);

}  // namespace vmm::reference
