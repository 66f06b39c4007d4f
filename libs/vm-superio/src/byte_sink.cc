// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/byte_sink.h"

#include <utility>

namespace vmm::vm_superio {

void OutputBuffer::flush() {
  if (size_ == 0) return;
  const std::size_t size = std::exchange(size_, 0);
  const std::size_t taken = sink_.write(std::span(bytes_).first(size));
  if (taken < size) lost_ += size - taken;
}

}  // namespace vmm::vm_superio
