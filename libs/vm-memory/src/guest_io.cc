// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

#include "vmm/vm_memory/memory_view.h"

namespace vmm::vm_memory {
namespace {

template <class Call>
ssize_t retry(Call&& call) {
  ssize_t done = 0;
  do {
    done = call();
  } while (done < 0 && errno == EINTR);
  return done;
}

}  // namespace

Result<void> MemoryView::read_from_file(int fd, std::uint64_t file_offset, GuestAddress address,
                                        std::uint64_t bytes) const {
  VMM_TRY_DO(check(address, bytes));
  for (SliceWalk walk = slices(address, bytes); !walk.done();) {
    VMM_TRY(GuestSlice slice, walk.next());
    while (!slice.empty()) {
      const IoVec to = slice.unsafe_iovec();
      const ssize_t got =
          retry([&] { return ::pread(fd, to.base, to.bytes, static_cast<off_t>(file_offset)); });
      slice.mark_dirty(0, slice.size());
      if (got < 0) return fail(Error::from_errno("read into guest memory"));
      if (got == 0) return fail(Error::os(ENODATA, "read into guest memory"));
      file_offset += static_cast<std::uint64_t>(got);
      VMM_TRY(slice, slice.subslice(static_cast<std::size_t>(got)));
    }
  }
  return {};
}

}  // namespace vmm::vm_memory
