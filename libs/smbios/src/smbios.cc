// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/smbios/smbios.h"

#include <algorithm>
#include <initializer_list>

#include "vmm/base/endian.h"

namespace vmm::smbios {
namespace {

constexpr std::size_t kMaxStrings = 255;

// Structure types (7).
constexpr std::uint8_t kBios = 0;
constexpr std::uint8_t kSystem = 1;
constexpr std::uint8_t kEnclosure = 3;
constexpr std::uint8_t kOemStrings = 11;
constexpr std::uint8_t kEnd = 127;

/// Writes structures one behind the other; the first error sticks.
class Writer {
 public:
  explicit Writer(std::size_t limit) : limit_(limit) {}

  /// A structure of which `body` follows the header, with its strings. A string's number stands in
  /// `body` where number() was asked for it.
  void begin(std::uint8_t type) {
    type_ = type;
    body_.clear();
    strings_.clear();
    count_ = 0;
  }
  void put8(std::uint8_t value) { body_.push_back(std::byte{value}); }
  template <class T>
  void put(T value) {
    const std::size_t at = body_.size();
    body_.resize(at + sizeof(T));
    store_le(&body_[at], value);
  }
  /// A field for a string; it is 0 for an empty one.
  void text(std::string_view text) { put8(text.empty() ? 0 : add(text)); }
  /// A string without a field of its own; its number.
  std::uint8_t add(std::string_view text) {
    if (text.empty() || text.find('\0') != text.npos) fail(SmbiosError::kBadString);
    if (count_ == kMaxStrings) {
      fail(SmbiosError::kTooManyStrings);
      return 0;
    }
    if (text.size() >= limit_ - std::min(limit_, strings_.size())) {
      fail(SmbiosError::kTooLarge);
      return 0;
    }
    const auto bytes = std::as_bytes(std::span(text));
    strings_.insert(strings_.end(), bytes.begin(), bytes.end());
    strings_.push_back(std::byte{0});
    return static_cast<std::uint8_t>(++count_);
  }
  /// Appends the structure: header, body, strings, and the empty string that ends those (6.1.3).
  void end() {
    constexpr std::size_t kHeader = 4;
    out_.push_back(std::byte{type_});
    out_.push_back(static_cast<std::byte>(kHeader + body_.size()));
    out_.resize(out_.size() + sizeof(std::uint16_t));
    store_le(&out_[out_.size() - sizeof(std::uint16_t)], handle_++);
    out_.insert(out_.end(), body_.begin(), body_.end());
    out_.insert(out_.end(), strings_.begin(), strings_.end());
    out_.insert(out_.end(), strings_.empty() ? 2 : 1, std::byte{0});
    if (out_.size() > limit_) fail(SmbiosError::kTooLarge);
  }

  Result<std::vector<std::byte>, SmbiosError> finish() {
    if (error_) return vmm::fail(*error_);
    return std::move(out_);
  }

 private:
  void fail(SmbiosError error) {
    if (!error_) error_ = error;
  }

  const std::size_t limit_;
  std::vector<std::byte> out_;
  std::vector<std::byte> body_;
  std::vector<std::byte> strings_;
  std::size_t count_ = 0;
  std::uint8_t type_ = 0;
  std::uint16_t handle_ = 0;
  std::optional<SmbiosError> error_;
};

void put_bios(Writer& out, const Identity& identity) {
  constexpr std::uint64_t kNoCharacteristics = 1u << 3;
  constexpr std::uint8_t kVirtualMachine = 1u << 4;
  out.begin(kBios);
  out.text(identity.bios_vendor);
  out.text(identity.bios_version);
  out.put(std::uint16_t{0});  // no segment: there is no BIOS
  out.put8(0);                // no release date, which guests would judge the machine by
  out.put8(0);                // ROM size: 64 KiB, the least
  out.put(kNoCharacteristics);
  out.put8(0);
  out.put8(kVirtualMachine);
  out.put8(0);     // BIOS release, major
  out.put8(0);     // and minor
  out.put8(0xff);  // there is no embedded controller
  out.put8(0xff);
  out.put(std::uint16_t{0});  // extended ROM size: unused
  out.end();
}

// The first three fields of a UUID are numbers, in little-endian order (7.2.1).
void put_uuid(Writer& out, const Uuid& uuid) {
  for (const auto from : {3U, 2U, 1U, 0U, 5U, 4U, 7U, 6U, 8U, 9U, 10U, 11U, 12U, 13U, 14U, 15U}) {
    out.put8(uuid[from]);
  }
}

void put_system(Writer& out, const Identity& identity) {
  constexpr std::uint8_t kPowerSwitch = 6;
  out.begin(kSystem);
  out.text(identity.manufacturer);
  out.text(identity.product_name);
  out.text(identity.version);
  out.text(identity.serial_number);
  put_uuid(out, identity.uuid);
  out.put8(kPowerSwitch);
  out.text(identity.sku_number);
  out.text(identity.family);
  out.end();
}

void put_enclosure(Writer& out, const Identity& identity) {
  constexpr std::uint8_t kOther = 1, kUnknown = 2, kSafe = 3;
  out.begin(kEnclosure);
  out.text(identity.manufacturer);
  out.put8(kOther);
  out.put8(0);  // version
  out.put8(0);  // serial number
  out.text(identity.chassis_asset_tag);
  out.put8(kSafe);            // boot-up state
  out.put8(kSafe);            // power supply
  out.put8(kSafe);            // temperature
  out.put8(kUnknown);         // security
  out.put(std::uint32_t{0});  // OEM-defined
  out.put8(0);                // height
  out.put8(0);                // power cords
  out.put8(0);                // contained elements, and their size
  out.put8(0);
  out.put8(0);  // SKU number
  out.end();
}

void put_oem_strings(Writer& out, std::span<const std::string> strings) {
  if (strings.empty()) return;
  out.begin(kOemStrings);
  std::uint8_t last = 0;
  for (const std::string& text : strings) last = out.add(text);
  out.put8(last);
  out.end();
}

std::vector<std::byte> entry_point(std::uint64_t tables, std::size_t bytes) {
  std::vector<std::byte> entry(kTablesOffset);
  constexpr std::string_view kAnchor = "_SM3_";
  std::ranges::copy(std::as_bytes(std::span(kAnchor)), entry.begin());
  entry[6] = std::byte{kEntryBytes};
  entry[7] = std::byte{3};  // version 3.6
  entry[8] = std::byte{6};
  entry[10] = std::byte{1};  // revision of the entry point
  store_le(&entry[12], static_cast<std::uint32_t>(bytes));
  store_le(&entry[16], tables);
  unsigned sum = 0;
  for (const std::byte byte : entry) sum += std::to_integer<unsigned>(byte);
  entry[5] = static_cast<std::byte>(0u - sum);
  return entry;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string_view message(std::int32_t code) {
  switch (static_cast<SmbiosError>(code)) {
    case SmbiosError::kBadString:
      return "a string holds NUL, or an OEM string is empty";
    case SmbiosError::kTooManyStrings:
      return "there are more than 255 OEM strings";
    case SmbiosError::kTooLarge:
      return "the tables are larger than their place in memory";
  }
  return "unknown error";
}

constexpr ErrorDomain kDomain{"smbios", &message};

}  // namespace

Error make_error(SmbiosError error) {
  return {kDomain, static_cast<std::int32_t>(error), "write SMBIOS tables"};
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  Uuid uuid{};
  std::size_t nibble = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const int digit = hex_digit(text[i]);
    if (digit < 0) return std::nullopt;
    uuid[nibble / 2] = static_cast<std::uint8_t>(uuid[nibble / 2] << 4 | digit);
    ++nibble;
  }
  return uuid;
}

Result<std::vector<std::byte>, SmbiosError> build(const Identity& identity, GuestAddress at,
                                                  std::size_t limit) {
  if (limit < kTablesOffset) return fail(SmbiosError::kTooLarge);
  Writer writer(limit - kTablesOffset);
  put_bios(writer, identity);
  put_system(writer, identity);
  put_enclosure(writer, identity);
  put_oem_strings(writer, identity.oem_strings);
  writer.begin(kEnd);
  writer.end();
  VMM_TRY(const std::vector<std::byte> tables, writer.finish());
  std::vector<std::byte> all = entry_point(at.raw() + kTablesOffset, tables.size());
  all.insert(all.end(), tables.begin(), tables.end());
  return all;
}

}  // namespace vmm::smbios
