// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Commands of the other queues.

#include <unistd.h>

#include "nvme_controller.h"
#include "nvme_memory.h"
#include "vmm/base/checked.h"
#include "vmm/sys_util/file_io.h"

namespace vmm::nvme {

Controller::Outcome Controller::io(const Command& command) {
  if (command.name_space != 1) return {.status = Status::kBadNamespace};
  switch (static_cast<Io>(command.opcode)) {
    case Io::kFlush:
      return {.status = ::fdatasync(file_.get()) == 0 ? Status::kSuccess : Status::kInternal};
    case Io::kWrite:
      return transfer(command, true);
    case Io::kRead:
      return transfer(command, false);
    default:
      return {.status = Status::kBadOpcode};
  }
}

Controller::Outcome Controller::transfer(const Command& command, bool to_file) {
  const std::uint64_t first = command.words[0] | std::uint64_t{command.words[1]} << 32;
  const std::uint64_t blocks = (command.words[2] & 0xffff) + 1u;
  if (!fits(first, blocks, blocks_)) return {.status = Status::kBadRange};
  const std::uint64_t bytes = blocks << kBlockShift;
  if (bytes > buffer_.size()) return {.status = Status::kBadField};
  const auto pieces = pieces_of(*dma_, command, static_cast<std::size_t>(bytes));
  if (!pieces) return {.status = pieces.error()};
  const auto data = std::span(buffer_).first(static_cast<std::size_t>(bytes));
  const std::uint64_t offset = first << kBlockShift;
  if (to_file) {
    const auto taken = read_pieces(*dma_, *pieces, data);
    if (!taken) return {.status = taken.error()};
    const auto written = sys_util::pwrite_all(file_.get(), data, offset);
    return {.status = written ? Status::kSuccess : Status::kInternal};
  }
  if (!sys_util::pread_exact(file_.get(), data, offset)) return {.status = Status::kInternal};
  const auto given = write_pieces(*dma_, *pieces, data);
  return {.status = given ? Status::kSuccess : given.error()};
}

}  // namespace vmm::nvme
