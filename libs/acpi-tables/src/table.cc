// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/table.h"

#include <bit>
#include <cstring>

#include "vmm/base/endian.h"

namespace vmm::acpi_tables {
namespace {

constexpr std::size_t kLengthAt = 4;
constexpr std::size_t kChecksumAt = 9;

// Sixteen sums side by side: bytes wrap modulo 256, which is what a checksum wants.
using Lanes = std::uint8_t __attribute__((vector_size(16)));

constexpr std::uint8_t sum_of(std::uint64_t word) {
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

std::array<char, 4> first_four(const std::array<char, 6>& id) {
  return {id[0], id[1], id[2], id[3]};
}
std::array<char, 2> last_two(const std::array<char, 6>& id) { return {id[4], id[5]}; }

}  // namespace

std::uint8_t checksum(std::span<const std::byte> bytes) {
  return static_cast<std::uint8_t>(0u - sum_of(bytes));
}

void put(TableBuffer& out, const GenericAddress& address) {
  out.put(address.space, address.bit_width, address.bit_offset, address.access, address.address);
}

Table::Table(TableBuffer& out, Signature signature, std::uint8_t revision, const Oem& oem)
    : out_(out), start_(out.size()), level_(out.open_block()) {
  if (level_ != 1) out.fail(AcpiError::kUnbalanced);
  const auto id_low = std::bit_cast<Le32>(first_four(oem.id));
  const auto id_high = std::bit_cast<Le16>(last_two(oem.id));
  // Length and checksum are set by close().
  out.put(signature.value(), std::uint32_t{0}, revision, std::uint8_t{0}, id_low.get(),
          id_high.get(), std::bit_cast<Le64>(oem.table_id).get(), oem.revision,
          std::bit_cast<Le32>(oem.creator_id).get(), oem.creator_revision);
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
  // In words, as the machine stores them; spec: ACPI 6.5, 5.2.5.3.
  constexpr std::uint64_t kSignature = 0x2052'5450'2044'5352;  // "RSD PTR "
  constexpr std::uint64_t kRevision = 2;
  const std::uint64_t id = std::uint64_t{std::bit_cast<Le32>(first_four(oem_id)).get()} |
                           std::uint64_t{std::bit_cast<Le16>(last_two(oem_id)).get()} << 32;
  // Over all up to and with the address of the RSDT, which is 0.
  const auto sum = static_cast<std::uint8_t>(0u - sum_of(kSignature) - sum_of(id) - kRevision);
  // Over everything; what the first sum covers adds up to 0 by now.
  const auto extended_sum = static_cast<std::uint8_t>(0u - kRsdpBytes - sum_of(xsdt));
  std::array<std::byte, kRsdpBytes> out;
  store_le(&out[0], kSignature);
  store_le(&out[8], sum | id << 8 | kRevision << 56);
  store_le(&out[16], std::uint64_t{kRsdpBytes} << 32);
  store_le(&out[24], xsdt);
  store_le(&out[32], std::uint32_t{extended_sum});
  return out;
}

void write_xsdt(TableBuffer& out, const Oem& oem, std::span<const std::uint64_t> tables) {
  const Table table(out, "XSDT", 1, oem);
  for (const std::uint64_t address : tables) out.put(address);
}

}  // namespace vmm::acpi_tables
