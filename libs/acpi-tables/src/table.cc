// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/table.h"

#include <algorithm>
#include <cstring>

namespace vmm::acpi_tables {
namespace {

constexpr std::size_t kLengthAt = 4;
constexpr std::size_t kChecksumAt = 9;

// Sixteen sums side by side: bytes wrap modulo 256, which is what a checksum wants.
using Lanes = std::uint8_t __attribute__((vector_size(16)));

std::uint8_t sum_of(std::uint64_t word) {
  constexpr std::uint64_t kEven = 0x00ff'00ff'00ff'00ff;
  const std::uint64_t pairs = (word & kEven) + ((word >> 8) & kEven);
  return static_cast<std::uint8_t>((pairs * 0x0001'0001'0001'0001) >> 48);
}

std::uint8_t sum_of(std::span<const std::byte> bytes) {
  Lanes lanes{};
  std::size_t at = 0;
  for (; bytes.size() - at >= sizeof lanes; at += sizeof lanes) {
    Lanes next;
    std::memcpy(&next, bytes.data() + at, sizeof next);
    lanes += next;
  }
  std::array<std::uint64_t, 2> words;
  std::memcpy(words.data(), &lanes, sizeof lanes);
  unsigned sum = 0u + sum_of(words[0]) + sum_of(words[1]);
  if (bytes.size() - at >= sizeof(std::uint64_t)) {
    std::memcpy(words.data(), bytes.data() + at, sizeof(std::uint64_t));
    sum += sum_of(words[0]);
    at += sizeof(std::uint64_t);
  }
  for (; at < bytes.size(); ++at) sum += std::to_integer<unsigned>(bytes[at]);
  return static_cast<std::uint8_t>(sum);
}

template <std::size_t kSize>
std::array<std::byte, kSize> as_byte_array(const std::array<char, kSize>& text) {
  std::array<std::byte, kSize> bytes;
  std::memcpy(bytes.data(), text.data(), kSize);
  return bytes;
}

}  // namespace

std::uint8_t checksum(std::span<const std::byte> bytes) {
  return static_cast<std::uint8_t>(0u - sum_of(bytes));
}

void put(TableBuffer& out, const GenericAddress& address) {
  out.put(address.space, address.bit_width, address.bit_offset, address.access, address.address);
}

Table::Table(TableBuffer& out, std::string_view signature, std::uint8_t revision, const Oem& oem)
    : out_(out), start_(out.size()), level_(out.open_block()) {
  if (level_ != 1) out.fail(AcpiError::kUnbalanced);
  const auto is_ascii = [](char c) { return c > ' ' && c < '\x7f'; };
  if (signature.size() != 4 || !std::all_of(signature.begin(), signature.end(), is_ascii)) {
    out.fail(AcpiError::kBadSignature);
    signature = "????";
  }
  std::array<std::byte, kHeaderBytes> header{};
  std::memcpy(header.data(), signature.data(), 4);
  header[8] = std::byte{revision};
  std::memcpy(&header[10], oem.id.data(), oem.id.size());
  std::memcpy(&header[16], oem.table_id.data(), oem.table_id.size());
  const Le32 oem_revision(oem.revision);
  std::memcpy(&header[24], &oem_revision, sizeof oem_revision);
  std::memcpy(&header[28], oem.creator_id.data(), oem.creator_id.size());
  const Le32 creator_revision(oem.creator_revision);
  std::memcpy(&header[32], &creator_revision, sizeof creator_revision);
  out.bytes(header);
}

void Table::close() {
  if (closed_) return;
  closed_ = true;
  out_.close_block(level_);
  if (out_.failed()) return;
  const std::size_t length = out_.size() - start_;
  out_.patch(start_ + kLengthAt, static_cast<std::uint32_t>(length));
  out_.patch(start_ + kChecksumAt, checksum(out_.from(start_)));
}

std::array<std::byte, kRsdpBytes> rsdp(const std::array<char, 6>& oem_id, std::uint64_t xsdt) {
  constexpr std::size_t kV1Bytes = 20;  // what the first checksum covers
  std::array<std::byte, kRsdpBytes> out{};
  std::memcpy(out.data(), "RSD PTR ", 8);
  const auto oem = as_byte_array(oem_id);
  std::memcpy(&out[9], oem.data(), oem.size());
  out[15] = std::byte{2};
  const Le32 length(kRsdpBytes);
  std::memcpy(&out[20], &length, sizeof length);
  const Le64 address(xsdt);
  std::memcpy(&out[24], &address, sizeof address);
  out[8] = std::byte{checksum(std::span(out).first(kV1Bytes))};
  out[32] = std::byte{checksum(out)};
  return out;
}

void write_xsdt(TableBuffer& out, const Oem& oem, std::span<const std::uint64_t> tables) {
  const Table table(out, "XSDT", 1, oem);
  for (const std::uint64_t address : tables) out.put(address);
}

}  // namespace vmm::acpi_tables
