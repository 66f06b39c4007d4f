// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/stats.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "uapi_extra.h"
#include "vmm/base/checked.h"
#include "vmm/kvm_ioctls/error.h"
#include "vmm/sys_util/file_io.h"

namespace vmm::kvm_ioctls {

namespace {

constexpr std::uint32_t kMaxDescriptors = 4096;
constexpr std::uint32_t kMaxNameBytes = 1024;
constexpr std::uint64_t kMaxDataBytes = 1u << 20;
constexpr std::size_t kMaxFileBytes = kMaxDescriptors * std::size_t{128};
constexpr std::size_t kDescriptorBytes = sizeof(kvm_stats_desc);  // without the name
static_assert(sizeof(kvm_stats_header) == 24 && kDescriptorBytes == 16);

template <class T>
std::optional<T> copy_at(std::span<const std::byte> file, std::uint64_t offset) {
  if (!fits<std::uint64_t>(offset, sizeof(T), file.size())) return std::nullopt;
  T value;
  std::memcpy(&value, file.data() + offset, sizeof(value));
  return value;
}

// Text of at most `bytes` bytes that must end in them.
std::optional<std::string> text_at(std::span<const std::byte> file, std::uint64_t offset,
                                   std::uint32_t bytes) {
  if (!fits<std::uint64_t>(offset, bytes, file.size())) return std::nullopt;
  const auto text = file.subspan(offset, bytes);
  const auto end = std::find(text.begin(), text.end(), std::byte{0});
  if (end == text.end()) return std::nullopt;
  return std::string(reinterpret_cast<const char*>(text.data()),
                     static_cast<std::size_t>(end - text.begin()));
}

std::optional<StatsDescriptor> parse_descriptor(std::span<const std::byte> file,
                                                std::uint64_t offset, std::uint32_t name_bytes) {
  struct Fixed {  // struct kvm_stats_desc without its flexible name
    std::uint32_t flags;
    std::int16_t exponent;
    std::uint16_t values;
    std::uint32_t offset;
    std::uint32_t bucket_size;
  };
  static_assert(sizeof(Fixed) == kDescriptorBytes);
  const auto raw = copy_at<Fixed>(file, offset);
  auto name = text_at(file, offset + kDescriptorBytes, name_bytes);
  if (!raw || !name) return std::nullopt;
  const std::uint32_t kind = raw->flags & KVM_STATS_TYPE_MASK;
  const std::uint32_t unit = (raw->flags & KVM_STATS_UNIT_MASK) >> KVM_STATS_UNIT_SHIFT;
  const std::uint32_t base = raw->flags & KVM_STATS_BASE_MASK;
  if (kind > KVM_STATS_TYPE_LOG_HIST || unit > 4 || base > KVM_STATS_BASE_POW2 ||
      raw->offset % sizeof(std::uint64_t) != 0) {
    return std::nullopt;
  }
  return StatsDescriptor{.name = *std::move(name),
                         .kind = static_cast<StatsDescriptor::Kind>(kind),
                         .unit = static_cast<StatsDescriptor::Unit>(unit),
                         .power_of_two = base == KVM_STATS_BASE_POW2,
                         .exponent = raw->exponent,
                         .values = raw->values,
                         .bucket_size = raw->bucket_size,
                         .offset = raw->offset};
}

// The file ends where it says itself, or is none.
Result<void> read_exactly(int fd, std::span<std::byte> bytes, std::uint64_t offset) {
  auto done = sys_util::pread_exact(fd, bytes, offset, "read KVM's statistics");
  if (!done && done.error().is_os(ENODATA)) return fail(KvmError::kMalformedStats);
  return done;
}

}  // namespace

Result<StatsSchema> parse_stats(std::span<const std::byte> file) {
  const auto header = copy_at<kvm_stats_header>(file, 0);
  if (!header || header->num_desc > kMaxDescriptors || header->name_size == 0 ||
      header->name_size > kMaxNameBytes) {
    return fail(KvmError::kMalformedStats);
  }
  StatsSchema schema;
  auto id = text_at(file, header->id_offset, header->name_size);
  if (!id) return fail(KvmError::kMalformedStats);
  schema.id = *std::move(id);
  schema.data_offset = header->data_offset;
  for (std::uint32_t i = 0; i < header->num_desc; ++i) {
    const std::uint64_t at =
        header->desc_offset + std::uint64_t{i} * (kDescriptorBytes + header->name_size);
    auto descriptor = parse_descriptor(file, at, header->name_size);
    if (!descriptor) return fail(KvmError::kMalformedStats);
    const std::uint64_t end =
        descriptor->offset + std::uint64_t{descriptor->values} * sizeof(std::uint64_t);
    if (end > kMaxDataBytes) return fail(KvmError::kMalformedStats);
    schema.data_bytes = std::max(schema.data_bytes, end);
    schema.descriptors.push_back(*std::move(descriptor));
  }
  return schema;
}

Result<StatsSchema> StatsFd::schema() const {
  kvm_stats_header header;
  VMM_TRY_DO(read_exactly(fd_.get(), std::as_writable_bytes(std::span(&header, 1)), 0));
  // All sums are of 32-bit numbers in 64 bits.
  const std::uint64_t descriptors_end =
      header.desc_offset +
      std::uint64_t{header.num_desc} * (kDescriptorBytes + std::uint64_t{header.name_size});
  const std::uint64_t end =
      std::max(descriptors_end, std::uint64_t{header.id_offset} + header.name_size);
  if (end > kMaxFileBytes || end < sizeof(header)) return fail(KvmError::kMalformedStats);
  std::vector<std::byte> file(end);
  VMM_TRY_DO(read_exactly(fd_.get(), file, 0));
  return parse_stats(file);
}

Result<std::vector<std::uint64_t>> StatsFd::read(const StatsSchema& schema) const {
  if (schema.data_bytes > kMaxDataBytes) return fail(KvmError::kMalformedStats);
  std::vector<std::uint64_t> values(schema.data_bytes / sizeof(std::uint64_t));
  VMM_TRY_DO(
      read_exactly(fd_.get(), std::as_writable_bytes(std::span(values)), schema.data_offset));
  return values;
}

}  // namespace vmm::kvm_ioctls
