// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/vhost_device.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "uapi.h"
#include "vmm/sys_util/ioctl.h"

namespace vmm::vhost {
namespace {

using sys_util::ioctl;
using sys_util::IoctlRequest;

static_assert(kFeatureLogAll == std::uint64_t{1} << VHOST_F_LOG_ALL);
static_assert(kFeatureNoNetHeader == std::uint64_t{1} << VHOST_NET_F_VIRTIO_NET_HDR);
static_assert(kBackendIotlbV2 == std::uint64_t{1} << VHOST_BACKEND_F_IOTLB_MSG_V2);
static_assert(kBackendIotlbBatch == std::uint64_t{1} << VHOST_BACKEND_F_IOTLB_BATCH);
static_assert(kBackendAddressSpaces == std::uint64_t{1} << VHOST_BACKEND_F_IOTLB_ASID);
static_assert(kBackendSuspend == std::uint64_t{1} << VHOST_BACKEND_F_SUSPEND);

Result<void> done(const Result<int>& answer) {
  if (!answer) return fail(answer.error());
  return {};
}

Result<void> set_number(int fd, IoctlRequest request, std::uint64_t number) {
  return done(ioctl(fd, request, static_cast<const void*>(&number)));
}

Result<std::uint64_t> get_number(int fd, IoctlRequest request) {
  std::uint64_t number = 0;
  VMM_TRY_DO(ioctl(fd, request, static_cast<void*>(&number)));
  return number;
}

Result<void> set_state(int fd, IoctlRequest request, VringValue value) {
  const vhost_vring_state state{.index = value.ring, .num = value.value};
  return done(ioctl(fd, request, static_cast<const void*>(&state)));
}

Result<std::uint32_t> get_state(int fd, IoctlRequest request, std::uint32_t ring) {
  vhost_vring_state state{.index = ring, .num = 0};
  VMM_TRY_DO(ioctl(fd, request, static_cast<void*>(&state)));
  return state.num;
}

Result<void> set_file(int fd, IoctlRequest request, std::uint32_t ring, int file) {
  const vhost_vring_file argument{.index = ring, .fd = file};
  return done(ioctl(fd, request, static_cast<const void*>(&argument)));
}

}  // namespace

Result<UniqueFd> VhostDevice::open_device(const char* path, const char* what) {
  UniqueFd fd(::open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail(Error::from_errno(what));
  return fd;
}

Result<std::uint64_t> VhostDevice::features() const {
  return get_number(fd(), VMM_IOCTL(VHOST_GET_FEATURES));
}

Result<void> VhostDevice::set_features(std::uint64_t features) const {
  return set_number(fd(), VMM_IOCTL(VHOST_SET_FEATURES), features);
}

Result<std::uint64_t> VhostDevice::backend_features() const {
  return get_number(fd(), VMM_IOCTL(VHOST_GET_BACKEND_FEATURES));
}

Result<void> VhostDevice::set_backend_features(std::uint64_t features) {
  VMM_TRY_DO(set_number(fd(), VMM_IOCTL(VHOST_SET_BACKEND_FEATURES), features));
  iotlb_version_ = (features & kBackendIotlbV2) != 0 ? IotlbVersion::kV2 : IotlbVersion::kV1;
  return {};
}

Result<void> VhostDevice::set_owner() const {
  return done(ioctl(fd(), VMM_IOCTL(VHOST_SET_OWNER)));
}

Result<void> VhostDevice::reset_owner() const {
  return done(ioctl(fd(), VMM_IOCTL(VHOST_RESET_OWNER)));
}

Result<void> VhostDevice::set_memory(const MemoryTable& table) const {
  return done(ioctl(fd(), VMM_IOCTL(VHOST_SET_MEM_TABLE), table.data()));
}

Result<void> VhostDevice::set_log(const DirtyLog& log) const {
  return set_number(fd(), VMM_IOCTL(VHOST_SET_LOG_BASE),
                    reinterpret_cast<std::uintptr_t>(log.data()));
}

Result<void> VhostDevice::set_log_event(int event) const {
  return done(ioctl(fd(), VMM_IOCTL(VHOST_SET_LOG_FD), static_cast<const void*>(&event)));
}

Result<void> VhostDevice::set_ring_size(VringValue size) const {
  return set_state(fd(), VMM_IOCTL(VHOST_SET_VRING_NUM), size);
}

Result<void> VhostDevice::set_ring_addresses(std::uint32_t ring,
                                             const VringAddresses& addresses) const {
  const vhost_vring_addr argument{.index = ring,
                                  .flags = addresses.log ? 1u << VHOST_VRING_F_LOG : 0u,
                                  .desc_user_addr = addresses.descriptors,
                                  .used_user_addr = addresses.device,
                                  .avail_user_addr = addresses.driver,
                                  .log_guest_addr = addresses.log ? addresses.log->raw() : 0};
  return done(ioctl(fd(), VMM_IOCTL(VHOST_SET_VRING_ADDR), static_cast<const void*>(&argument)));
}

Result<void> VhostDevice::set_ring_base(VringValue base) const {
  return set_state(fd(), VMM_IOCTL(VHOST_SET_VRING_BASE), base);
}

Result<std::uint32_t> VhostDevice::ring_base(std::uint32_t ring) const {
  return get_state(fd(), VMM_IOCTL(VHOST_GET_VRING_BASE), ring);
}

Result<void> VhostDevice::set_ring_kick(std::uint32_t ring, int event) const {
  return set_file(fd(), VMM_IOCTL(VHOST_SET_VRING_KICK), ring, event);
}

Result<void> VhostDevice::set_ring_call(std::uint32_t ring, int event) const {
  return set_file(fd(), VMM_IOCTL(VHOST_SET_VRING_CALL), ring, event);
}

Result<void> VhostDevice::set_ring_error(std::uint32_t ring, int event) const {
  return set_file(fd(), VMM_IOCTL(VHOST_SET_VRING_ERR), ring, event);
}

Result<void> VhostDevice::set_busy_loop(VringValue timeout) const {
  return set_state(fd(), VMM_IOCTL(VHOST_SET_VRING_BUSYLOOP_TIMEOUT), timeout);
}

Result<std::uint32_t> VhostDevice::busy_loop(std::uint32_t ring) const {
  return get_state(fd(), VMM_IOCTL(VHOST_GET_VRING_BUSYLOOP_TIMEOUT), ring);
}

Result<void> VhostDevice::send_iotlb(const IotlbMessage& message) const {
  VMM_TRY(const IotlbBytes bytes, encode(message, iotlb_version_));
  const ssize_t written = ::write(fd(), bytes.data(), bytes.size());
  if (written < 0) return fail(Error::from_errno("write an IOTLB message"));
  if (static_cast<std::size_t>(written) != bytes.size()) {
    return fail(Error::os(EIO, "write an IOTLB message"));
  }
  return {};
}

Result<std::optional<IotlbMessage>> VhostDevice::receive_iotlb() const {
  IotlbBytes bytes{};
  const ssize_t read = ::read(fd(), bytes.data(), bytes.size());
  if (read < 0 && errno == EAGAIN) return std::optional<IotlbMessage>();
  if (read < 0) return fail(Error::from_errno("read an IOTLB message"));
  VMM_TRY(const IotlbMessage message,
          decode(std::span(bytes).first(static_cast<std::size_t>(read))));
  return std::optional(message);
}

}  // namespace vmm::vhost
