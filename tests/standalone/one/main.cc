// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <cstdio>

#include "vmm/base/endian.h"
#include "vmm/vm_memory/guest_memory.h"

// What somebody else's VMM would do first: some guest memory, a value written and read back, and an
// address outside refused.
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
  return view.read<vmm::Le32>(GuestAddress((1 << 20) - 2)) ? 1 : 0;
}
