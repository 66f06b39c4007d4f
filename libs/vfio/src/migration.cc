// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/migration.h"

#include <cerrno>

#include "uapi.h"
#include "vmm/vfio/feature.h"

namespace vmm::vfio {
namespace {

constexpr std::size_t kMaxLogRanges = 255;

template <class T>
std::span<std::byte> bytes_of(T& object) {
  return std::as_writable_bytes(std::span(&object, 1));
}

}  // namespace

Result<std::optional<MigrationSupport>> migration_support(const Device& device) {
  vfio_device_feature_migration raw{};
  const auto got = get_feature(device, VFIO_DEVICE_FEATURE_MIGRATION, bytes_of(raw));
  if (!got && got.error().is_os(ENOTTY)) return std::optional<MigrationSupport>();
  VMM_TRY_DO(got);
  return std::optional(MigrationSupport{.stop_copy = (raw.flags & VFIO_MIGRATION_STOP_COPY) != 0,
                                        .p2p = (raw.flags & VFIO_MIGRATION_P2P) != 0,
                                        .pre_copy = (raw.flags & uapi::kMigrationPrecopy) != 0});
}

Result<MigrationState> migration_state(const Device& device) {
  vfio_device_feature_mig_state raw{.device_state = 0, .data_fd = -1};
  VMM_TRY_DO(get_feature(device, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, bytes_of(raw)));
  if (raw.device_state > static_cast<std::uint32_t>(MigrationState::kPreCopyP2p)) {
    return fail(Error::os(EPROTO, "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE"));
  }
  return static_cast<MigrationState>(raw.device_state);
}

Result<UniqueFd> set_migration_state(const Device& device, MigrationState state) {
  struct Request {
    uapi::FeatureHead header;
    vfio_device_feature_mig_state state{};
  } request;
  static_assert(sizeof(Request) == 16);
  request.header.argsz = sizeof(request);
  request.header.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
  request.state = {.device_state = static_cast<std::uint32_t>(state), .data_fd = -1};
  VMM_TRY_DO(device.kernel().ioctl(device.fd(), VMM_IOCTL(VFIO_DEVICE_FEATURE),
                                   static_cast<void*>(&request)));
  return UniqueFd(request.state.data_fd);
}

Result<std::uint64_t> stop_copy_bytes(const Device& device) {
  std::uint64_t bytes = 0;
  VMM_TRY_DO(get_feature(device, uapi::kFeatureMigrationDataSize, bytes_of(bytes)));
  return bytes;
}

Result<PreCopyLeft> pre_copy_left(const Device& device, const UniqueFd& state) {
  uapi::VfioPrecopy raw;
  VMM_TRY_DO(device.kernel().ioctl(state.get(),
                                   {uapi::kVfioPrecopyInfo, "VFIO_MIG_GET_PRECOPY_INFO"},
                                   static_cast<void*>(&raw)));
  return PreCopyLeft{.initial_bytes = raw.initial_bytes, .dirty_bytes = raw.dirty_bytes};
}

Result<void> start_dma_logging(const Device& device, std::uint64_t page_bytes,
                               std::span<const DmaSpan> ranges) {
  if (ranges.size() > kMaxLogRanges) return fail(VfioError::kTooLarge);
  static_assert(sizeof(DmaSpan) == sizeof(vfio_device_feature_dma_logging_range));
  vfio_device_feature_dma_logging_control raw{};
  raw.page_size = page_bytes;
  raw.num_ranges = static_cast<std::uint32_t>(ranges.size());
  raw.ranges = reinterpret_cast<std::uintptr_t>(ranges.data());
  return set_feature(device, VFIO_DEVICE_FEATURE_DMA_LOGGING_START, bytes_of(raw));
}

Result<void> stop_dma_logging(const Device& device) {
  return set_feature(device, VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, {});
}

Result<void> read_dma_log(const Device& device, DmaSpan range, std::uint64_t page_bytes,
                          std::span<std::uint64_t> bitmap) {
  if (!bitmap_fits(range, page_bytes, bitmap)) return fail(VfioError::kBadRange);
  vfio_device_feature_dma_logging_report raw{
      .iova = range.iova,
      .length = range.bytes,
      .page_size = page_bytes,
      .bitmap = reinterpret_cast<std::uintptr_t>(bitmap.data())};
  return get_feature(device, VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, bytes_of(raw));
}

}  // namespace vmm::vfio
