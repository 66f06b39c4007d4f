// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "pmem_device.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "vmm/base/checked.h"
#include "vmm/base/log.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/vm_memory/discard.h"

namespace vmm::reference {
namespace {

constexpr std::uint64_t kSizeUnit = std::uint64_t{2} << 20;
constexpr std::uint64_t kLowest = std::uint64_t{4} << 30;
/// What Linux adds and takes away memory by.
constexpr std::uint64_t kAlignment = std::uint64_t{128} << 20;

// A folder stands for a file in it that has no name and goes with the VMM.
Outcome<UniqueFd> open_file(const std::string& context, const PmemConfig& config) {
  const int access = config.discard_writes ? O_RDONLY : O_RDWR;
  struct stat status{};
  const bool exists = ::stat(config.file.c_str(), &status) == 0;
  const bool folder = exists && S_ISDIR(status.st_mode);
  if (folder && config.size == 0) return fail(usage(context + ": a folder needs size"));
  const int flags = folder ? O_RDWR | O_TMPFILE : access | O_NONBLOCK;
  UniqueFd file(::open(config.file.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0600));
  if (!file) return fail(runtime(context, Error::from_errno("open")));
  const auto length = checked_cast<off_t>(config.size);
  if (folder && (!length || ::ftruncate(file.get(), *length) != 0)) {
    return fail(runtime(context, Error::from_errno("ftruncate")));
  }
  return file;
}

Outcome<std::uint64_t> usable_bytes(const std::string& context, const UniqueFd& file,
                                    std::uint64_t wanted) {
  const off_t end = ::lseek(file.get(), 0, SEEK_END);
  if (end < 0) return fail(runtime(context, Error::from_errno("lseek")));
  const auto length = static_cast<std::uint64_t>(end);
  const std::uint64_t bytes = wanted == 0 ? length : wanted;
  if (bytes > length) return fail(usage(context + ": size: more than the file has"));
  if (bytes == 0 || bytes % kSizeUnit != 0) {
    return fail(usage(context + ": the size, " + std::to_string(bytes) +
                      " bytes, is not a multiple of 2 MiB"));
  }
  return bytes;
}

}  // namespace

Outcome<PmemFile> open_pmem(const PmemConfig& config) {
  const std::string context = "--pmem: file=" + config.file;
  PmemFile pmem{.id = config.device.id,
                .device = nullptr,
                .file = UniqueFd(),
                .bytes = 0,
                .discard_writes = config.discard_writes};
  VMM_TRY(pmem.file, open_file(context, config));
  VMM_TRY(pmem.bytes, usable_bytes(context, pmem.file, config.size));
  if (config.discard_writes) {
    VMM_STEP(context, pmem.device, virtio_pmem::Pmem::create(virtio_pmem::make_no_flusher()));
    return pmem;
  }
  VMM_STEP(context, UniqueFd own, sys_util::duplicate(pmem.file.get()));
  VMM_STEP(context, pmem.device,
           virtio_pmem::Pmem::create(virtio_pmem::make_file_flusher(std::move(own))));
  return pmem;
}

Outcome<GuestAddress> place_pmems(std::span<const PmemFile> pmems, GuestAddress ram_end) {
  if (pmems.empty()) return ram_end;
  GuestAddress next = std::max(ram_end, GuestAddress(kLowest));
  for (const PmemFile& pmem : pmems) {
    const auto base = next.align_up(kAlignment);
    const auto end = base ? base->checked_add(pmem.bytes) : std::nullopt;
    if (!end) return fail(runtime("--pmem: the files are too large"));
    pmem.device->place({*base, pmem.bytes});
    next = *end;
  }
  return next;
}

Outcome<std::shared_ptr<const vm_memory::Region>> map_pmem(const PmemFile& pmem,
                                                           vm_memory::GuestMemory& memory,
                                                           kvm_board::MappedMemory& mapped) {
  const GuestAddress base = pmem.device->range().base;
  VMM_STEP_DO("--pmem", memory.plug({.base = base,
                                     .bytes = pmem.bytes,
                                     .backing = vm_memory::Backing::kFile,
                                     .fd = pmem.file.get(),
                                     .shared = !pmem.discard_writes,
                                     .dump = false}));
  const auto map = memory.snapshot();
  const auto region =
      std::ranges::find(map->regions(), base, [](const auto& r) { return r->base(); });
  VMM_STEP_DO("--pmem", mapped.add(*region));
  return *region;
}

Outcome<void> map_pmems(std::span<const PmemFile> pmems, vm_memory::GuestMemory& memory,
                        kvm_board::MappedMemory& mapped) {
  for (const PmemFile& pmem : pmems) VMM_TRY_DO(map_pmem(pmem, memory, mapped));
  return {};
}

// Kernel devices (vhost=on), and requests that are under way, have the memory of before: the file
// may be somebody else's by the time they use it.
void unplug_pmem(const PmemFile& pmem, vm_memory::GuestMemory& memory) {
  const GuestAddress base = pmem.device->range().base;
  const auto map = memory.snapshot();
  const auto found =
      std::ranges::find(map->regions(), base, [](const auto& r) { return r->base(); });
  if (found == map->regions().end()) return;
  (void)memory.unplug(base, pmem.bytes);
  if (const auto done = vm_memory::cut_off(**found); !done) {
    VMM_LOG(kError, "--pmem: a file that was removed: %s", to_string(done.error()).c_str());
  }
}

// Regions are ascending.
Outcome<GuestAddress> find_place(std::uint64_t bytes, const AddressRange& window,
                                 const vm_memory::GuestMemory& memory) {
  const Failure full = runtime("--pmem: there are no addresses left for the file");
  const std::uint64_t end = window.base.raw() + window.size;
  auto next = window.base.align_up(kAlignment);
  const auto map = memory.snapshot();
  for (const auto& region : map->regions()) {
    if (!next) return fail(full);
    if (region->base().raw() + region->bytes() <= next->raw()) continue;
    if (region->base() >= *next && bytes <= region->base().raw() - next->raw()) break;
    const auto behind = region->base().checked_add(region->bytes());
    next = behind ? behind->align_up(kAlignment) : std::nullopt;
  }
  if (!next || next->raw() > end || bytes > end - next->raw()) return fail(full);
  return *next;
}

}  // namespace vmm::reference
