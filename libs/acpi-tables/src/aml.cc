// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/aml.h"

#include <array>

#include "vmm/acpi_tables/resources.h"

namespace vmm::acpi_tables {
namespace {

constexpr std::uint8_t kNameOp = 0x08;
constexpr std::uint8_t kPackageOp = 0x12;
constexpr std::uint8_t kVarPackageOp = 0x13;
constexpr std::uint8_t kBufferOp = 0x11;
constexpr std::uint8_t kBytePrefix = 0x0a;
constexpr std::uint8_t kWordPrefix = 0x0b;
constexpr std::uint8_t kDwordPrefix = 0x0c;
constexpr std::uint8_t kQwordPrefix = 0x0e;
constexpr std::uint8_t kStringPrefix = 0x0d;
constexpr std::size_t kMaxFieldBits = (std::size_t{1} << 28) - 1;

constexpr bool is_lead(char c) { return (c >= 'A' && c <= 'Z') || c == '_'; }
constexpr bool is_name(char c) { return is_lead(c) || (c >= '0' && c <= '9'); }

/// A four-character segment at the head of `text`, as it stands in AML; 0 when it is none.
std::uint32_t segment(std::string_view text) {
  if (text.size() < 4 || !is_lead(text[0]) || !is_name(text[1]) || !is_name(text[2]) ||
      !is_name(text[3])) {
    return 0;
  }
  Le32 wire;
  std::memcpy(&wire, text.data(), sizeof wire);
  return wire.get();
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/// Encodes `value` in `width` bytes: the low 6 (one byte) or 4 bits first, then whole bytes.
std::array<std::byte, 4> encode_length(std::size_t value, std::size_t width) {
  std::array<std::byte, 4> bytes{};
  if (width == 1) {
    bytes[0] = static_cast<std::byte>(value);
    return bytes;
  }
  bytes[0] = static_cast<std::byte>(((width - 1) << 6) | (value & 0xf));
  for (std::size_t i = 1; i < width; ++i) {
    bytes[i] = static_cast<std::byte>((value >> (8 * i - 4)) & 0xff);
  }
  return bytes;
}

std::size_t field_length_bytes(std::uint32_t bits) {
  if (bits < (1u << 6)) return 1;
  if (bits < (1u << 12)) return 2;
  return bits < (1u << 20) ? 3 : 4;
}

void put_field_length(TableBuffer& out, std::uint32_t bits) {
  const std::size_t width = field_length_bytes(bits);
  const std::array<std::byte, 4> bytes = encode_length(bits, width);
  out.bytes(std::span(bytes).first(width));
}

}  // namespace

Block::Block(TableBuffer& out, std::size_t reserved)
    : out_(&out),
      start_(out.size()),
      level_(out.open_block()),
      reserved_(static_cast<std::uint8_t>(reserved)) {
  out.zeros(reserved);
}

void Block::close() {
  TableBuffer* out = std::exchange(out_, nullptr);
  if (out == nullptr) return;
  out->close_block(level_);
  if (out->failed()) return;
  const std::size_t content = out->size() - start_ - reserved_;
  const std::size_t width = package_length_bytes(content);
  if (width == 0) return out->fail(AcpiError::kBadPackageLength);
  if (width != reserved_) out->resize_gap(start_, reserved_, width);
  if (width == 1) return out->patch(start_, static_cast<std::uint8_t>(content + 1));
  if (width == 2) {
    const std::size_t length = content + 2;
    return out->patch(start_,
                      static_cast<std::uint16_t>(0x40u | (length & 0xf) | (length >> 4) << 8));
  }
  const std::array<std::byte, 4> bytes = encode_length(content + width, width);
  for (std::size_t i = 0; i < width; ++i) {
    out->patch(start_ + i, std::to_integer<std::uint8_t>(bytes[i]));
  }
}

void FieldList::named(std::string_view name, std::uint32_t bits) {
  const std::uint32_t wire = name.size() == 4 ? segment(name) : 0;
  if (wire == 0) return out_->fail(AcpiError::kBadName);
  if (bits > kMaxFieldBits) return out_->fail(AcpiError::kBadPackageLength);
  out_->put(wire);
  put_field_length(*out_, bits);
}

void FieldList::reserved(std::uint32_t bits) {
  if (bits > kMaxFieldBits) return out_->fail(AcpiError::kBadPackageLength);
  out_->put(std::uint8_t{0});
  put_field_length(*out_, bits);
}

void Aml::opcode(std::uint16_t code) {
  if (code > 0xff) {
    out_->put(static_cast<std::uint8_t>(code >> 8), static_cast<std::uint8_t>(code));
  } else {
    out_->put(static_cast<std::uint8_t>(code));
  }
}

void Aml::integer(std::uint64_t value) {
  if (value <= 1) {
    out_->put(static_cast<std::uint8_t>(value));
  } else if (value <= 0xff) {
    out_->put(kBytePrefix, static_cast<std::uint8_t>(value));
  } else if (value <= 0xffff) {
    out_->put(kWordPrefix, static_cast<std::uint16_t>(value));
  } else if (value <= 0xffff'ffff) {
    out_->put(kDwordPrefix, static_cast<std::uint32_t>(value));
  } else {
    out_->put(kQwordPrefix, value);
  }
}

void Aml::string(std::string_view text) {
  for (const char c : text) {
    if (c == 0 || static_cast<unsigned char>(c) > 0x7f) return out_->fail(AcpiError::kBadString);
  }
  out_->put(kStringPrefix);
  out_->bytes(std::as_bytes(std::span(text)));
  out_->put(std::uint8_t{0});
}

void Aml::path(std::string_view text) {
  if (text.size() == 4) [[likely]] {
    const std::uint32_t only = segment(text);
    if (only != 0) [[likely]]
      return out_->put(only);
  }
  if (text.starts_with('\\')) {
    out_->put(std::uint8_t{'\\'});
    text.remove_prefix(1);
    if (text.empty()) return out_->put(std::uint8_t{0});  // the root itself
  } else {
    for (; text.starts_with('^'); text.remove_prefix(1)) out_->put(std::uint8_t{'^'});
  }
  const std::size_t segments = (text.size() + 1) / 5;
  if (segments == 0 || text.size() != 5 * segments - 1) return out_->fail(AcpiError::kBadName);
  if (segments > 0xff) return out_->fail(AcpiError::kTooManyElements);
  if (segments == 2) out_->put(std::uint8_t{0x2e});
  if (segments > 2) out_->put(std::uint8_t{0x2f}, static_cast<std::uint8_t>(segments));
  for (std::size_t i = 0; i < segments; ++i) {
    const std::uint32_t wire = segment(text.substr(5 * i, 4));
    if (wire == 0 || (i != 0 && text[5 * i - 1] != '.')) return out_->fail(AcpiError::kBadName);
    out_->put(wire);
  }
}

void Aml::eisa_id(std::string_view text) {
  if (text.size() != 7) return out_->fail(AcpiError::kBadEisaId);
  std::uint32_t id = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    if (text[i] < 'A' || text[i] > 'Z') return out_->fail(AcpiError::kBadEisaId);
    id = id << 5 | static_cast<std::uint32_t>(text[i] - 'A' + 1);
  }
  for (std::size_t i = 3; i < 7; ++i) {
    const int digit = hex_digit(text[i]);
    if (digit < 0) return out_->fail(AcpiError::kBadEisaId);
    id = id << 4 | static_cast<std::uint32_t>(digit);
  }
  out_->put(kDwordPrefix, __builtin_bswap32(id));
}

void Aml::uuid(std::string_view text) {
  // The place of each byte in the text: the first three groups are little-endian.
  constexpr std::array<std::uint8_t, 16> kPlace = {6,  4,  2,  0,  11, 9,  16, 14,
                                                   19, 21, 24, 26, 28, 30, 32, 34};
  if (text.size() != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' ||
      text[23] != '-') {
    return out_->fail(AcpiError::kBadUuid);
  }
  std::array<std::byte, 16> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = hex_digit(text[kPlace[i]]);
    const int low = hex_digit(text[kPlace[i] + 1u]);
    if (high < 0 || low < 0) return out_->fail(AcpiError::kBadUuid);
    bytes[i] = static_cast<std::byte>(high << 4 | low);
  }
  buffer(bytes);
}

void Aml::buffer(std::span<const std::byte> content) {
  const Block block = open(kBufferOp, 1);
  integer(content.size());
  out_->bytes(content);
}

void Aml::term(Local value) {
  if (value.number > 7) return out_->fail(AcpiError::kBadOperand);
  out_->put(static_cast<std::uint8_t>(0x60 + value.number));
}

void Aml::term(Arg value) {
  if (value.number > 6) return out_->fail(AcpiError::kBadOperand);
  out_->put(static_cast<std::uint8_t>(0x68 + value.number));
}

void Aml::name_op(std::string_view name) {
  out_->put(kNameOp);
  path(name);
}

void Aml::alias(std::string_view source, std::string_view name) {
  opcode(0x06);
  path(source);
  path(name);
}

void Aml::mutex(std::string_view name, std::uint8_t sync_level) {
  if (sync_level > 15) return out_->fail(AcpiError::kBadOperand);
  opcode(0x5b01);
  path(name);
  out_->put(sync_level);
}

void Aml::event(std::string_view name) {
  opcode(0x5b02);
  path(name);
}

void Aml::region_op(std::string_view name, RegionSpace space) {
  opcode(0x5b80);
  path(name);
  out_->put(static_cast<std::uint8_t>(space));
}

Block Aml::open(std::uint16_t code, std::size_t reserved) {
  opcode(code);
  return Block(*out_, reserved);
}

Block Aml::scope(std::string_view name) {
  Block block = open(0x10, 2);
  path(name);
  return block;
}

Block Aml::device(std::string_view name) {
  Block block = open(0x5b82, 2);
  path(name);
  return block;
}

Block Aml::thermal_zone(std::string_view name) {
  Block block = open(0x5b85, 1);
  path(name);
  return block;
}

Block Aml::method(std::string_view name, const MethodRules& rules) {
  if (rules.arguments > 7 || rules.sync_level > 15) out_->fail(AcpiError::kBadOperand);
  Block block = open(0x14, 1);
  path(name);
  out_->put(static_cast<std::uint8_t>((rules.arguments & 7) | (rules.serialized ? 8 : 0) |
                                      rules.sync_level << 4));
  return block;
}

Block Aml::power_resource(std::string_view name, std::uint8_t level, std::uint16_t order) {
  Block block = open(0x5b84, 1);
  path(name);
  out_->put(level, order);
  return block;
}

FieldList Aml::field(std::string_view region, const FieldRules& rules) {
  opcode(0x5b81);
  FieldList list(*out_, 1);
  path(region);
  out_->put(static_cast<std::uint8_t>(static_cast<unsigned>(rules.access) |
                                      (rules.lock ? 0x10u : 0u) |
                                      static_cast<unsigned>(rules.update) << 5));
  return list;
}

FieldList Aml::index_field(std::string_view index, std::string_view data, const FieldRules& rules) {
  opcode(0x5b86);
  FieldList list(*out_, 1);
  path(index);
  path(data);
  out_->put(static_cast<std::uint8_t>(static_cast<unsigned>(rules.access) |
                                      (rules.lock ? 0x10u : 0u) |
                                      static_cast<unsigned>(rules.update) << 5));
  return list;
}

Package Aml::package() { return Package(*this); }

Package::Package(Aml& aml)
    : aml_(aml), block_(aml.open(kPackageOp, 1)), opcode_at_(aml.out().size() - 2) {
  aml.out().put(std::uint8_t{0});
}

void Package::close() {
  if (block_.is_closed()) return;
  TableBuffer& out = aml_.out();
  const std::size_t count_at = opcode_at_ + 2;
  if (count_ > 0xffff) {
    out.fail(AcpiError::kTooManyElements);
  } else if (count_ > 0xff && !out.failed()) {
    out.resize_gap(count_at, 1, 3);
    out.patch(opcode_at_, kVarPackageOp);
    out.patch(count_at, kWordPrefix);
    out.patch(count_at + 1, static_cast<std::uint16_t>(count_));
  } else if (!out.failed()) {
    out.patch(count_at, static_cast<std::uint8_t>(count_));
  }
  block_.close();
}

Resources Aml::resources() { return Resources(*out_, open(kBufferOp, 1)); }

}  // namespace vmm::acpi_tables
