// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Features of a device: the kernel's structures have pointers where messages have the data itself.

#include <linux/vfio.h>

#include <cerrno>
#include <cstring>

#include "caller_structure.h"
#include "vmm/vfio_user/remote_kernel.h"

namespace vmm::vfio_user {
namespace {

Error bad_answer() { return Error::os(EPROTO, "VFIO_DEVICE_FEATURE"); }

}  // namespace

Result<void> RemoteKernel::feature(std::uintptr_t argument) {
  const auto head = copy_of<Feature>(argument);
  const std::uintptr_t data = argument + sizeof(Feature);
  const bool probes = (head.flags & Feature::kProbe) != 0;
  const std::uint32_t number = head.flags & Feature::kNumber;
  if (number == kFeatureLogStart && !probes) return start_log(head.flags, data);
  if (number == kFeatureLogReport && !probes) return report_log(head.flags, data);

  if (head.argsz < sizeof(Feature)) return fail(Error::os(EINVAL, "VFIO_DEVICE_FEATURE"));
  const std::size_t room = head.argsz - sizeof(Feature);
  const bool sets = (head.flags & Feature::kSet) != 0;
  const std::span given(reinterpret_cast<const std::byte*>(data), room);
  VMM_TRY(const auto answer,
          client_->feature(head.flags, sets && !probes ? given : std::span<const std::byte>()));
  if (number == kFeatureMigrationState && sets && !probes) {
    // There is no descriptor in this protocol.
    auto state = copy_of<MigrationStateData>(data);
    state.fd = -1;
    std::memcpy(reinterpret_cast<void*>(data), &state, sizeof(state));
    return {};
  }
  if ((head.flags & Feature::kGet) == 0 || probes) return {};
  if (answer.size() != room) return fail(bad_answer());
  if (room != 0) std::memcpy(reinterpret_cast<void*>(data), answer.data(), room);
  return {};
}

Result<void> RemoteKernel::start_log(std::uint32_t flags, std::uintptr_t data) {
  const auto control = copy_of<vfio_device_feature_dma_logging_control>(data);
  const LogStart head{.page_bytes = control.page_size, .count = control.num_ranges, .reserved = 0};
  std::vector<std::byte> bytes(sizeof(head) + control.num_ranges * sizeof(LogRange));
  std::memcpy(bytes.data(), &head, sizeof(head));
  if (control.num_ranges != 0) {
    static_assert(sizeof(LogRange) == sizeof(vfio_device_feature_dma_logging_range));
    std::memcpy(bytes.data() + sizeof(head),
                reinterpret_cast<const void*>(static_cast<std::uintptr_t>(control.ranges)),
                control.num_ranges * sizeof(LogRange));
  }
  VMM_TRY_DO(client_->feature(flags, bytes));
  return {};
}

// Bits are added to those that are there; none beyond the range.
Result<void> RemoteKernel::report_log(std::uint32_t flags, std::uintptr_t data) {
  const auto control = copy_of<vfio_device_feature_dma_logging_report>(data);
  if (control.page_size == 0 || control.length == 0) {
    return fail(Error::os(EINVAL, "VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT"));
  }
  const LogReport question{
      .iova = control.iova, .bytes = control.length, .page_bytes = control.page_size};
  VMM_TRY(const auto answer, client_->feature(flags, bytes_of(question)));
  const std::uint64_t pages = (control.length - 1) / control.page_size + 1;
  const std::uint64_t words = (pages - 1) / 64 + 1;
  const auto echo = front_as<LogReport>(answer);
  if (!echo || *echo != question || (answer.size() - sizeof(LogReport)) / 8 != words) {
    return fail(bad_answer());
  }
  auto* const bitmap = reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(control.bitmap));
  const auto bits = std::span(answer).subspan(sizeof(LogReport));
  for (std::uint64_t i = 0; i < words * 8 && i * 8 < pages; ++i) {
    const std::uint64_t left = pages - i * 8;
    bitmap[i] |= bits[i] & (left < 8 ? std::byte((1u << left) - 1) : std::byte{0xff});
  }
  return {};
}

}  // namespace vmm::vfio_user
