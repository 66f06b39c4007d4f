// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "page_list.h"

#include <algorithm>
#include <span>

#include "vmm/base/endian.h"

namespace vmm::virtio_balloon {

void PageList::read(virtio_queue::Reader reader) {
  const std::span<std::byte> bytes = std::as_writable_bytes(std::span(pages_));
  count_ = reader.read(bytes) / sizeof(std::uint32_t);
  for (std::size_t i = 0; i < count_; ++i) {
    pages_[i] = load_le<std::uint32_t>(bytes.data() + i * sizeof(std::uint32_t));
  }
  std::sort(pages_.begin(), pages_.begin() + static_cast<std::ptrdiff_t>(count_));
}

}  // namespace vmm::virtio_balloon
