// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/pvh.h"

#include "vmm/base/endian.h"

namespace vmm::arch::x86_64 {
namespace {

struct StartInfo {
  static constexpr std::uint32_t kMagic = 0x336e'c578;
  static constexpr std::uint32_t kVersion = 1;  // the first with a memory map

  Le32 magic{kMagic};
  Le32 version{kVersion};
  Le32 flags;
  Le32 module_count;
  Le64 modules;
  Le64 cmdline;
  Le64 rsdp;
  Le64 map;
  Le32 map_entries;
  Le32 reserved;
};
static_assert(sizeof(StartInfo) == 56);
static_assert(sizeof(StartInfo) <= kPvhModules.raw() - kPvhStartInfo.raw());

struct WireModule {
  Le64 address;
  Le64 size;
  Le64 cmdline;
  Le64 reserved;
};
static_assert(kPvhModules.raw() + kMaxPvhModules * sizeof(WireModule) <= kPvhMemoryMap.raw());

struct WireMapEntry {
  Le64 address;
  Le64 size;
  Le32 type;
  Le32 reserved;
};
static_assert(sizeof(WireMapEntry) == 24);
static_assert(kMaxPvhMapEntries * sizeof(WireMapEntry) <= 0x1000);

}  // namespace

Result<void> write_pvh(vm_memory::MemoryView memory, const PvhConfig& config) {
  if (config.map.size() > kMaxPvhMapEntries) return fail(ArchError::kTooManyMapEntries);
  if (config.modules.size() > kMaxPvhModules) return fail(ArchError::kTooManyModules);

  std::uint64_t at = kPvhMemoryMap.raw();
  for (const MapEntry& entry : config.map) {
    WireMapEntry wire;
    wire.address.set(entry.range.base.raw());
    wire.size.set(entry.range.size);
    wire.type.set(static_cast<std::uint32_t>(entry.type));
    VMM_TRY_DO(memory.write(GuestAddress(at), wire));
    at += sizeof wire;
  }
  at = kPvhModules.raw();
  for (const PvhModule& module : config.modules) {
    WireModule wire;
    wire.address.set(module.range.base.raw());
    wire.size.set(module.range.size);
    wire.cmdline.set(module.cmdline.raw());
    VMM_TRY_DO(memory.write(GuestAddress(at), wire));
    at += sizeof wire;
  }
  StartInfo info;
  info.module_count.set(static_cast<std::uint32_t>(config.modules.size()));
  info.modules.set(config.modules.empty() ? 0 : kPvhModules.raw());
  info.cmdline.set(config.cmdline.raw());
  info.rsdp.set(config.rsdp.raw());
  info.map.set(config.map.empty() ? 0 : kPvhMemoryMap.raw());
  info.map_entries.set(static_cast<std::uint32_t>(config.map.size()));
  VMM_TRY_DO(memory.write(kPvhStartInfo, info));
  return {};
}

}  // namespace vmm::arch::x86_64
