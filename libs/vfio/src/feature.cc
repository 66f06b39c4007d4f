// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/feature.h"

#include <array>
#include <cerrno>
#include <cstring>

#include "uapi.h"

namespace vmm::vfio {
namespace {

struct Request {
  uapi::FeatureHead header;
  std::array<std::byte, kMaxFeatureBytes> data{};
};
static_assert(sizeof(Request) == sizeof(vfio_device_feature) + kMaxFeatureBytes);

Result<void> ask(const Device& device, std::uint32_t flags, Request& request, std::size_t bytes) {
  request.header.argsz = static_cast<std::uint32_t>(sizeof(request.header) + bytes);
  request.header.flags = flags;
  VMM_TRY_DO(device.kernel().ioctl(device.fd(), VMM_IOCTL(VFIO_DEVICE_FEATURE),
                                   static_cast<void*>(&request)));
  return {};
}

std::uint32_t flags_of(FeatureUse use) {
  std::uint32_t flags = 0;
  if (use != FeatureUse::kSet) flags |= VFIO_DEVICE_FEATURE_GET;
  if (use != FeatureUse::kGet) flags |= VFIO_DEVICE_FEATURE_SET;
  return flags;
}

}  // namespace

Result<bool> has_feature(const Device& device, std::uint16_t feature, FeatureUse use) {
  Request request;
  const auto probed = ask(device, feature | flags_of(use) | VFIO_DEVICE_FEATURE_PROBE, request, 0);
  if (probed) return true;
  if (probed.error().is_os(ENOTTY) || probed.error().is_os(EINVAL)) return false;
  return fail(probed.error());
}

Result<void> get_feature(const Device& device, std::uint16_t feature, std::span<std::byte> data) {
  if (data.size() > kMaxFeatureBytes) return fail(VfioError::kTooLarge);
  Request request;
  if (!data.empty()) std::memcpy(request.data.data(), data.data(), data.size());
  VMM_TRY_DO(ask(device, feature | VFIO_DEVICE_FEATURE_GET, request, data.size()));
  if (!data.empty()) std::memcpy(data.data(), request.data.data(), data.size());
  return {};
}

Result<void> set_feature(const Device& device, std::uint16_t feature,
                         std::span<const std::byte> data) {
  if (data.size() > kMaxFeatureBytes) return fail(VfioError::kTooLarge);
  Request request;
  if (!data.empty()) std::memcpy(request.data.data(), data.data(), data.size());
  return ask(device, feature | VFIO_DEVICE_FEATURE_SET, request, data.size());
}

}  // namespace vmm::vfio
