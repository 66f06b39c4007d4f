// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/linux_loader/cmdline.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

namespace vmm::linux_loader {
namespace {

constexpr std::string_view kSeparator = " -- ";  // between boot parameters and those of init
constexpr std::string_view kSeparatorWord = "--";

std::string_view message(std::int32_t code) {
  switch (static_cast<CmdlineError>(code)) {
    case CmdlineError::kCapacity:
      return "the command line has no capacity";
    case CmdlineError::kTooLong:
      return "the command line is too long";
    case CmdlineError::kNotPrintable:
      return "only printable ASCII characters are allowed in a command line";
    case CmdlineError::kKey:
      return "a parameter's name must not be empty or contain a space or '='";
    case CmdlineError::kMissingValue:
      return "a parameter needs at least one value";
    case CmdlineError::kQuoting:
      return "a value with spaces must stand in double quotes, and hold none";
    case CmdlineError::kSeparator:
      return "boot parameters must not contain the word \"--\"";
    case CmdlineError::kNoBootArgs:
      return "arguments for init need at least one boot parameter before them";
    case CmdlineError::kDeviceSize:
      return "a virtio-mmio device needs a size";
    case CmdlineError::kOutsideRam:
      return "the command line does not fit into guest memory";
  }
  return "unknown command line error";
}

constexpr ErrorDomain kCmdlineDomain{"linux-loader command line", &message};

bool printable(std::string_view text) {
  // Branch-free, so that the compiler can use vectors.
  unsigned bad = 0;
  for (const char c : text) bad |= static_cast<unsigned char>(c - ' ') > '~' - ' ' ? 1u : 0u;
  return bad == 0;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// Where the word "--" is outside double quotes; npos when there is none.
std::size_t find_separator(std::string_view text) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (quoted || text[i] != '-' || (i != 0 && !is_space(text[i - 1]))) continue;
    const std::string_view rest = text.substr(i);
    if (!rest.starts_with(kSeparatorWord)) continue;
    if (rest.size() == kSeparatorWord.size() || is_space(rest[kSeparatorWord.size()])) return i;
  }
  return std::string_view::npos;
}

Result<void, CmdlineError> check_key(std::string_view key) {
  if (!printable(key)) return fail(CmdlineError::kNotPrintable);
  if (key.empty() || key.find_first_of(" =") != std::string_view::npos) {
    return fail(CmdlineError::kKey);
  }
  return {};
}

Result<void, CmdlineError> check_value(std::string_view value) {
  if (!printable(value)) return fail(CmdlineError::kNotPrintable);
  if (value.find_first_of(" \"") == std::string_view::npos) return {};
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') {
    return fail(CmdlineError::kQuoting);
  }
  if (value.substr(1, value.size() - 2).find('"') != std::string_view::npos) {
    return fail(CmdlineError::kQuoting);
  }
  return {};
}

/// A small text assembled on the stack.
class Word {
 public:
  Word& operator<<(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }
  Word& number(std::uint64_t value, int base) {
    at_ = std::to_chars(at_, text_.data() + text_.size(), value, base).ptr;
    return *this;
  }
  [[nodiscard]] std::string_view view() const {
    return {text_.data(), static_cast<std::size_t>(at_ - text_.data())};
  }

 private:
  std::array<char, 96> text_;  // the longest device text takes 80
  char* at_ = text_.data();
};

}  // namespace

Error make_error(CmdlineError error) {
  return {kCmdlineDomain, static_cast<std::int32_t>(error), "kernel command line"};
}

Result<Cmdline, CmdlineError> Cmdline::create(std::size_t capacity) {
  if (capacity == 0) return fail(CmdlineError::kCapacity);
  return Cmdline(capacity);
}

Result<Cmdline, CmdlineError> Cmdline::parse(std::string_view text, std::size_t capacity) {
  VMM_TRY(Cmdline cmdline, create(capacity));
  std::string_view boot = trim(text);
  std::string_view init;
  if (const std::size_t at = find_separator(boot); at != std::string_view::npos) {
    init = trim(boot.substr(at + kSeparatorWord.size()));
    boot = trim(boot.substr(0, at));
  }
  if (!printable(boot) || !printable(init)) return fail(CmdlineError::kNotPrintable);
  if (boot.empty() && !init.empty()) return fail(CmdlineError::kNoBootArgs);
  if (boot.size() >= capacity ||
      (!init.empty() && kSeparator.size() + init.size() >= capacity - boot.size())) {
    return fail(CmdlineError::kTooLong);
  }
  cmdline.boot_ = boot;
  cmdline.init_ = init;
  return cmdline;
}

std::size_t Cmdline::size() const {
  return boot_.size() + (init_.empty() ? 0 : kSeparator.size() + init_.size());
}

std::string Cmdline::text() const {
  std::string whole;
  whole.reserve(size());
  whole += boot_;
  if (!init_.empty()) {
    whole += kSeparator;
    whole += init_;
  }
  return whole;
}

bool Cmdline::has_room_for(std::size_t more) const {
  return more < capacity_ - size();  // size() < capacity_ always: the NUL has its place
}

Result<void, CmdlineError> Cmdline::append_word(std::string_view word) {
  const bool first = boot_.empty();
  if (!has_room_for(word.size() + (first ? 0 : 1))) return fail(CmdlineError::kTooLong);
  if (!first) boot_ += ' ';
  boot_ += word;
  return {};
}

Result<void, CmdlineError> Cmdline::insert(std::string_view key, std::string_view value) {
  return insert_list(key, {&value, 1});
}

Result<void, CmdlineError> Cmdline::insert_list(std::string_view key,
                                                std::span<const std::string_view> values) {
  VMM_TRY_DO(check_key(key));
  if (values.empty()) return fail(CmdlineError::kMissingValue);
  std::size_t bytes = key.size() + (boot_.empty() ? 0 : 1);
  for (const std::string_view value : values) {
    VMM_TRY_DO(check_value(value));
    bytes += 1 + value.size();
  }
  if (!has_room_for(bytes)) return fail(CmdlineError::kTooLong);
  if (!boot_.empty()) boot_ += ' ';
  boot_ += key;
  char joint = '=';
  for (const std::string_view value : values) {
    boot_ += std::exchange(joint, ',');
    boot_ += value;
  }
  return {};
}

Result<void, CmdlineError> Cmdline::append(std::string_view text) {
  if (!printable(text)) return fail(CmdlineError::kNotPrintable);
  text = trim(text);
  if (text.empty()) return {};
  if (find_separator(text) != std::string_view::npos) return fail(CmdlineError::kSeparator);
  return append_word(text);
}

Result<void, CmdlineError> Cmdline::append_init(std::string_view text) {
  if (!printable(text)) return fail(CmdlineError::kNotPrintable);
  text = trim(text);
  if (text.empty()) return {};
  if (boot_.empty()) return fail(CmdlineError::kNoBootArgs);
  if (!has_room_for(text.size() + (init_.empty() ? kSeparator.size() : 1))) {
    return fail(CmdlineError::kTooLong);
  }
  if (!init_.empty()) init_ += ' ';
  init_ += text;
  return {};
}

Result<void, CmdlineError> Cmdline::add_virtio_mmio(const VirtioMmioDevice& device) {
  if (device.size == 0) return fail(CmdlineError::kDeviceSize);
  static constexpr std::array<std::string_view, 4> kUnits = {"", "K", "M", "G"};
  std::uint64_t size = device.size;
  std::size_t unit = 0;
  while (unit + 1 < kUnits.size() && size % 1024 == 0) {
    size /= 1024;
    ++unit;
  }
  Word word;
  word << "virtio_mmio.device=";
  word.number(size, 10) << kUnits[unit] << "@0x";
  word.number(device.base.raw(), 16) << ":";
  word.number(device.irq, 10);
  if (device.id) (word << ":").number(*device.id, 10);
  return append_word(word.view());
}

Result<void, CmdlineError> load_cmdline(vm_memory::MemoryView memory, GuestAddress at,
                                        const Cmdline& cmdline) {
  std::string text = cmdline.text();
  const auto bytes = std::as_bytes(std::span(text.c_str(), text.size() + 1));
  if (!memory.write_bytes(at, bytes)) return fail(CmdlineError::kOutsideRam);
  return {};
}

}  // namespace vmm::linux_loader
