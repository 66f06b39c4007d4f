// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "vmm/virtio_pmem/pmem.h"

namespace vmm::virtio_pmem {
namespace {

class FileFlusher final : public Flusher {
 public:
  explicit FileFlusher(UniqueFd file) : file_(std::move(file)) {}
  Result<void> flush() override {
    if (failed_) return fail(Error::os(EIO, "fsync, of which one failed before"));
    while (::fsync(file_.get()) != 0) {
      if (errno == EINTR) continue;  // nothing is forgotten: it is done again
      failed_ = true;
      return fail(Error::from_errno("fsync"));
    }
    return {};
  }

 private:
  // The kernel tells once that it could not write something, and forgets what it was.
  bool failed_ = false;
  UniqueFd file_;
};

class NoFlusher final : public Flusher {
 public:
  Result<void> flush() override { return {}; }
};

}  // namespace

std::unique_ptr<Flusher> make_file_flusher(UniqueFd file) {
  return std::make_unique<FileFlusher>(std::move(file));
}

std::unique_ptr<Flusher> make_no_flusher() { return std::make_unique<NoFlusher>(); }

}  // namespace vmm::virtio_pmem
