// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "json_option.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <optional>

#include "json_text.h"

namespace vmm::reference {
namespace {

namespace json = boost::json;

// More than any list of numbers has that makes sense.
constexpr std::size_t kMaxEntries = 4096;

struct Spelling {
  std::string_view json, option;
};
// Names of enumerators, where they are not the option's; "": the option's default.
constexpr std::array kSpellings{Spelling{"Raw", "raw"},
                                Spelling{"Qcow2", "qcow2"},
                                Spelling{"FixedVhd", "vhd"},
                                Spelling{"Vhdx", "vhdx"},
                                Spelling{"FlatVmdk", "vmdk"},
                                Spelling{"Unknown", ""},
                                Spelling{"Client", "client"},
                                Spelling{"Server", "server"},
                                Spelling{"ByteRange", "byte-range"},
                                Spelling{"Full", "full"},
                                Spelling{"QemuCompatible", "qemu-compatible"},
                                Spelling{"Vm", "vm"},
                                Spelling{"Vcpu", "vcpu"},
                                Spelling{"Off", "off"},
                                Spelling{"Acpi", "acpi"},
                                Spelling{"VirtioMem", "virtio-mem"}};
constexpr std::array kModes{Spelling{"Off", "off"},   Spelling{"Null", "null"},
                            Spelling{"Pty", "pty"},   Spelling{"Tty", "tty"},
                            Spelling{"File", "file"}, Spelling{"Socket", "socket"}};

// Of the members whose strings are names of enumerators.
bool is_enumerator(std::string_view json) {
  return json == "image_type" || json == "vhost_mode" || json == "lock_granularity" ||
         json == "core_scheduling" || json == "hotplug_method";
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace

Failure wrong_json(std::string_view option, std::string_view member, const char* what) {
  return usage(std::string(option) + ": " + std::string(member) + ": not " + what);
}

void JsonOption::put(std::string_view key, std::string_view text) {
  if (!text_.empty()) text_ += ',';
  text_ += key;
  text_ += '=';
  text_ += text;
}

Outcome<void> JsonOption::add(std::span<const JsonMember> members) {
  for (const JsonMember& member : members) {
    const json::value* value = find_member(object_, member.json);
    if (value != nullptr) VMM_TRY_DO(add(member, *value));
  }
  return {};
}

Outcome<void> JsonOption::add(const JsonMember& member, const json::value& value) {
  using Kind = JsonMember::Kind;
  std::string text;
  switch (member.kind) {
    case Kind::kText:
      return add_text(member, value);
    case Kind::kEither:
      if (value.is_string()) return add_text(member, value);
      [[fallthrough]];
    case Kind::kNumber: {
      const auto number = whole_number(value);
      if (!number) return fail(wrong_json(option_, member.json, "a whole number"));
      text = std::to_string(*number);
      break;
    }
    case Kind::kToggle:
    case Kind::kSwitch: {
      const bool* on = value.if_bool();
      if (on == nullptr) return fail(wrong_json(option_, member.json, "a boolean"));
      if (*on || member.kind == Kind::kToggle) text = *on ? "on" : "off";
      break;
    }
    case Kind::kNumbers:
    case Kind::kTexts: {
      VMM_TRY(text, list(member, value));
      break;
    }
    case Kind::kTopology: {
      VMM_TRY(text, topology(value));
      break;
    }
    case Kind::kAffinity: {
      VMM_TRY(text, affinity(member, value));
      break;
    }
    case Kind::kMode:
      return add_mode(value);
  }
  if (!text.empty()) put(member.key, text);
  return {};
}

Outcome<void> JsonOption::add_text(const JsonMember& member, const json::value& value) {
  const auto text = plain_string(value);
  if (!text) return fail(wrong_json(option_, member.json, "a string"));
  if (!is_enumerator(member.json)) {
    put(member.key, quoted(*text));
    return {};
  }
  const auto known = std::ranges::find(kSpellings, std::string_view(*text), &Spelling::json);
  if (known == kSpellings.end()) {
    return fail(wrong_json(option_, member.json, "a name that is known"));
  }
  put(member.key, known->option);
  return {};
}

// The path counts with a mode that needs one: beside "Pty" it is what was made.
Outcome<void> JsonOption::add_mode(const json::value& value) {
  const std::string name = plain_string(value).value_or("");
  const auto mode = std::ranges::find(kModes, std::string_view(name), &Spelling::json);
  if (mode == kModes.end()) {
    return fail(wrong_json(option_, "mode", "one of Off, Null, Pty, Tty, File and Socket"));
  }
  if (name != "File" && name != "Socket") {
    put(mode->option, "");
    return {};
  }
  const json::value* path = find_member(object_, mode->option);
  const auto text = path == nullptr ? std::nullopt : plain_string(*path);
  if (!text) return fail(wrong_json(option_, mode->option, "a string"));
  put(mode->option, quoted(*text));
  return {};
}

Outcome<std::string> JsonOption::list(const JsonMember& member, const json::value& value) const {
  const bool texts = member.kind == JsonMember::Kind::kTexts;
  const json::array* array = value.if_array();
  if (array == nullptr || array->size() > kMaxEntries) {
    return fail(wrong_json(option_, member.json, "a list"));
  }
  std::string out;
  for (const json::value& entry : *array) {
    const auto number = whole_number(entry);
    const auto text = plain_string(entry);
    if (texts ? !text : !number) {
      return fail(
          wrong_json(option_, member.json, texts ? "a list of strings" : "a list of numbers"));
    }
    out += out.empty() ? '[' : ',';
    out += texts ? quoted(*text) : std::to_string(*number);
  }
  return out.empty() ? out : out + ']';
}

Outcome<std::string> JsonOption::topology(const json::value& value) const {
  constexpr std::array<std::string_view, 4> kNames{"threads_per_core", "cores_per_die",
                                                   "dies_per_package", "packages"};
  const json::object* object = value.if_object();
  if (object == nullptr) return fail(wrong_json(option_, "topology", "an object"));
  std::string out;
  for (const std::string_view name : kNames) {
    const json::value* member = find_member(*object, name);
    const auto number = member == nullptr ? std::nullopt : whole_number(*member);
    if (!number) return fail(wrong_json(option_, "topology", "four numbers"));
    if (!out.empty()) out += ':';
    out += std::to_string(*number);
  }
  return out;
}

Outcome<std::string> JsonOption::affinity(const JsonMember& member,
                                          const json::value& value) const {
  const json::array* array = value.if_array();
  if (array == nullptr || array->size() > kMaxEntries) {
    return fail(wrong_json(option_, member.json, "a list"));
  }
  std::string out;
  for (const json::value& entry : *array) {
    const json::object* object = entry.if_object();
    if (object == nullptr) return fail(wrong_json(option_, member.json, "a list of objects"));
    const json::value* index = find_member(*object, "vcpu");
    if (index == nullptr) index = find_member(*object, "queue_index");
    const auto number = index == nullptr ? std::nullopt : whole_number(*index);
    const json::value* cpus = find_member(*object, "host_cpus");
    if (!number || cpus == nullptr) {
      return fail(wrong_json(option_, member.json, "a list of an index and host_cpus each"));
    }
    VMM_TRY(const std::string numbers, list(member, *cpus));
    out += out.empty() ? '[' : ',';
    out += std::to_string(*number) + '@' + (numbers.empty() ? "[]" : numbers);
  }
  return out.empty() ? out : out + ']';
}

}  // namespace vmm::reference
