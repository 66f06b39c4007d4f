// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace vmm::block {

/// What a test did to its files, in order.
struct Change {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::vector<std::byte> data{};  // empty: zeros
  bool sync = false;              // not a change, but the end of those before
};

/// What the C library's functions for files, as the code under test calls them, note and do.
struct FileCalls {
  bool recording = false;
  std::vector<Change> changes;
  std::size_t most_written = SIZE_MAX;                    ///< by one pwritev()
  std::size_t reads = 0;                                  ///< calls of pread()
  std::function<void(std::uint64_t offset)> before_read;  ///< before each of them
  int failing_syncs = 0;  ///< the next fdatasync() that fail, with EIO
};
extern FileCalls file_calls;

}  // namespace vmm::block
