// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/one_reg.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include "call.h"
#include "uapi_extra.h"
#include "vmm/kvm_ioctls/vcpu.h"

namespace vmm::kvm_ioctls {

Result<std::size_t> Vcpu::get_one_reg(RegId id, std::span<std::byte> value) const {
  const std::size_t bytes = reg_bytes(id);
  if (bytes == 0 || value.size() < bytes) return fail(Error::os(EINVAL, "KVM_GET_ONE_REG"));
  kvm_one_reg reg{.id = static_cast<std::uint64_t>(id),
                  .addr = reinterpret_cast<std::uintptr_t>(value.data())};
  VMM_TRY_DO(call(fd_.get(), VMM_IOCTL(KVM_GET_ONE_REG), &reg));
  std::ranges::fill(value.subspan(bytes), std::byte{0});
  return bytes;
}

Result<void> Vcpu::set_one_reg(RegId id, std::span<const std::byte> value) const {
  const std::size_t bytes = reg_bytes(id);
  if (bytes == 0 || value.size() < bytes) return fail(Error::os(EINVAL, "KVM_SET_ONE_REG"));
  kvm_one_reg reg{.id = static_cast<std::uint64_t>(id),
                  .addr = reinterpret_cast<std::uintptr_t>(value.data())};
  return call(fd_.get(), VMM_IOCTL(KVM_SET_ONE_REG), &reg);
}

Result<std::uint64_t> Vcpu::get_reg(RegId id) const {
  std::array<std::byte, sizeof(std::uint64_t)> bytes;
  VMM_TRY_DO(get_one_reg(id, bytes));
  return std::bit_cast<std::uint64_t>(bytes);
}

Result<void> Vcpu::set_reg(RegId id, std::uint64_t value) const {
  return set_one_reg(id, std::as_bytes(std::span(&value, 1)));
}

Result<Vcpu::RegCount> Vcpu::reg_list(std::span<RegId> ids) const {
  // struct kvm_reg_list: the number of ids, then the ids. The kernel raises the number beyond our
  // room when that is too small; nothing here trusts it as a length.
  std::vector<std::uint64_t> list(1 + ids.size());
  list[0] = ids.size();
  const auto answer =
      sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_GET_REG_LIST), static_cast<void*>(list.data()));
  if (!answer && !answer.error().is_os(E2BIG)) return fail(answer.error());
  const std::size_t needed = list[0];
  const std::size_t written = answer ? std::min<std::size_t>(needed, ids.size()) : 0;
  for (std::size_t i = 0; i < written; ++i) ids[i] = static_cast<RegId>(list[1 + i]);
  return RegCount{.written = written, .needed = needed};
}

Result<std::vector<RegId>> Vcpu::reg_list() const {
  constexpr std::size_t kMax = 1u << 16;  // far above what any architecture has
  VMM_TRY(const RegCount first, reg_list(std::span<RegId>{}));
  if (first.needed > kMax) return fail(Error::os(E2BIG, "KVM_GET_REG_LIST"));
  std::vector<RegId> ids(first.needed);
  VMM_TRY(const RegCount count, reg_list(std::span<RegId>(ids)));
  if (count.needed > ids.size()) return fail(Error::os(E2BIG, "KVM_GET_REG_LIST"));
  ids.resize(count.written);
  return ids;
}

}  // namespace vmm::kvm_ioctls
