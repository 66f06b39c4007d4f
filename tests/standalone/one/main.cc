// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <cerrno>
#include <cstdio>

#include "vmm/base/endian.h"
#include "vmm/vm_memory/guest_memory.h"

// What somebody else's VMM would do first: some guest memory, a value written and read back, an
// address outside refused; and an error of the library's that is known for what it is, although the
// program hides its symbols.
int main() {
  using vmm::GuestAddress;
  const vmm::vm_memory::RegionConfig ram{.base = GuestAddress(0), .bytes = 1 << 20};
  const auto memory = vmm::vm_memory::GuestMemory::create({&ram, 1});
  if (!memory) {
    std::fprintf(stderr, "%s\n", vmm::to_string(memory.error()).c_str());
    return 1;
  }
  const vmm::vm_memory::MemoryView view = memory->view();
  if (!view.write(GuestAddress(0x1000), vmm::Le32(42))) return 1;
  const auto value = view.read<vmm::Le32>(GuestAddress(0x1000));
  if (!value || value->get() != 42) return 1;
  if (view.read<vmm::Le32>(GuestAddress((1 << 20) - 2))) return 1;

  const vmm::vm_memory::RegionConfig file{.base = GuestAddress(0),
                                          .bytes = 4096,
                                          .backing = vmm::vm_memory::Backing::kFile,
                                          .fd = 1 << 20};
  const auto none = vmm::vm_memory::GuestMemory::create({&file, 1});
  return !none && none.error().is_os(EBADF) ? 0 : 1;
}
