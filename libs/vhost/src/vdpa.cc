// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/vdpa.h"

#include <array>
#include <cerrno>
#include <cstring>

#include "uapi.h"
#include "vmm/sys_util/ioctl.h"

namespace vmm::vhost {
namespace {

using sys_util::ioctl;
using sys_util::IoctlRequest;

constexpr std::size_t kMaxConfigBytes = 4096;

/// struct vhost_vdpa_config with room for its bytes.
struct ConfigBuffer {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
  std::array<std::byte, kMaxConfigBytes> bytes;
};
static_assert(offsetof(ConfigBuffer, offset) == offsetof(vhost_vdpa_config, off));
static_assert(offsetof(ConfigBuffer, length) == offsetof(vhost_vdpa_config, len));
static_assert(offsetof(ConfigBuffer, bytes) == sizeof(vhost_vdpa_config));

template <class T>
Result<T> get(int fd, IoctlRequest request) {
  T value{};
  VMM_TRY_DO(ioctl(fd, request, static_cast<void*>(&value)));
  return value;
}

template <class T>
Result<void> set(int fd, IoctlRequest request, const T& value) {
  VMM_TRY_DO(ioctl(fd, request, static_cast<const void*>(&value)));
  return {};
}

vhost_vring_state to_state(VringValue value) { return {.index = value.ring, .num = value.value}; }

}  // namespace

Result<Vdpa> Vdpa::open(const char* path) {
  VMM_TRY(UniqueFd fd, open_device(path, "open the vhost-vdpa device"));
  return Vdpa(std::move(fd));
}

Result<std::uint32_t> Vdpa::device_id() const {
  return get<std::uint32_t>(fd(), VMM_IOCTL(VHOST_VDPA_GET_DEVICE_ID));
}

Result<std::uint8_t> Vdpa::status() const {
  return get<std::uint8_t>(fd(), VMM_IOCTL(VHOST_VDPA_GET_STATUS));
}

Result<void> Vdpa::set_status(std::uint8_t status) const {
  return set(fd(), VMM_IOCTL(VHOST_VDPA_SET_STATUS), status);
}

Result<std::uint32_t> Vdpa::config_bytes() const {
  return get<std::uint32_t>(fd(), VMM_IOCTL(VHOST_VDPA_GET_CONFIG_SIZE));
}

Result<void> Vdpa::read_config(std::uint32_t offset, std::span<std::byte> data) const {
  if (data.size() > kMaxConfigBytes) return fail(Error::os(EINVAL, "VHOST_VDPA_GET_CONFIG"));
  ConfigBuffer config;
  config.offset = offset;
  config.length = static_cast<std::uint32_t>(data.size());
  VMM_TRY_DO(ioctl(fd(), VMM_IOCTL(VHOST_VDPA_GET_CONFIG), static_cast<void*>(&config)));
  if (!data.empty()) std::memcpy(data.data(), config.bytes.data(), data.size());
  return {};
}

Result<void> Vdpa::write_config(std::uint32_t offset, std::span<const std::byte> data) const {
  if (data.size() > kMaxConfigBytes) return fail(Error::os(EINVAL, "VHOST_VDPA_SET_CONFIG"));
  ConfigBuffer config;
  config.offset = offset;
  config.length = static_cast<std::uint32_t>(data.size());
  if (!data.empty()) std::memcpy(config.bytes.data(), data.data(), data.size());
  return set(fd(), VMM_IOCTL(VHOST_VDPA_SET_CONFIG), config);
}

Result<void> Vdpa::set_config_call(int event) const {
  return set(fd(), VMM_IOCTL(VHOST_VDPA_SET_CONFIG_CALL), event);
}

Result<void> Vdpa::set_ring_enable(VringValue enable) const {
  return set(fd(), VMM_IOCTL(VHOST_VDPA_SET_VRING_ENABLE), to_state(enable));
}

Result<std::uint16_t> Vdpa::max_ring_size() const {
  return get<std::uint16_t>(fd(), VMM_IOCTL(VHOST_VDPA_GET_VRING_NUM));
}

Result<std::uint32_t> Vdpa::ring_count() const {
  return get<std::uint32_t>(fd(), VMM_IOCTL(VHOST_VDPA_GET_VQS_COUNT));
}

Result<IovaWindow> Vdpa::iova_window() const {
  VMM_TRY(const auto range, get<vhost_vdpa_iova_range>(fd(), VMM_IOCTL(VHOST_VDPA_GET_IOVA_RANGE)));
  return IovaWindow{.first = Iova(range.first), .last = Iova(range.last)};
}

Result<std::uint32_t> Vdpa::group_count() const {
  return get<std::uint32_t>(fd(), VMM_IOCTL(VHOST_VDPA_GET_GROUP_NUM));
}

Result<std::uint32_t> Vdpa::address_space_count() const {
  return get<std::uint32_t>(fd(), VMM_IOCTL(VHOST_VDPA_GET_AS_NUM));
}

Result<std::uint32_t> Vdpa::ring_group(std::uint32_t ring) const {
  vhost_vring_state state{.index = ring, .num = 0};
  VMM_TRY_DO(ioctl(fd(), VMM_IOCTL(VHOST_VDPA_GET_VRING_GROUP), static_cast<void*>(&state)));
  return state.num;
}

Result<void> Vdpa::set_group_address_space(VringValue space) const {
  return set(fd(), VMM_IOCTL(VHOST_VDPA_SET_GROUP_ASID), to_state(space));
}

Result<void> Vdpa::suspend() const {
  VMM_TRY_DO(ioctl(fd(), VMM_IOCTL(VHOST_VDPA_SUSPEND)));
  return {};
}

Result<void> Vdpa::map(const DmaMapping& mapping) const {
  return send_iotlb({.kind = IotlbKind::kUpdate,
                     .iova = mapping.iova,
                     .bytes = mapping.host.size(),
                     .host = reinterpret_cast<std::uintptr_t>(mapping.host.data()),
                     .access = mapping.access,
                     .address_space = mapping.address_space});
}

Result<void> Vdpa::unmap(Iova iova, std::uint64_t bytes, std::uint32_t address_space) const {
  return send_iotlb({.kind = IotlbKind::kInvalidate,
                     .iova = iova,
                     .bytes = bytes,
                     .host = 0,
                     .access = vm_memory::Access::kNone,
                     .address_space = address_space});
}

}  // namespace vmm::vhost
