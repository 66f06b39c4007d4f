// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Commands of the admin queue.

#include <algorithm>
#include <cstring>

#include "nvme_controller.h"
#include "nvme_memory.h"

namespace vmm::nvme {
namespace {

constexpr std::uint32_t kFeatureQueues = 0x07;
constexpr std::uint32_t kFeatureEvents = 0x0b;

using Page = std::array<std::byte, kPage>;

template <class T>
void put(Page& page, std::size_t at, T value) {
  std::memcpy(page.data() + at, &value, sizeof(value));
}

/// Text, with spaces behind it.
void put_text(Page& page, std::size_t at, std::size_t bytes, std::string_view text) {
  for (std::size_t i = 0; i < bytes; ++i) {
    page[at + i] = static_cast<std::byte>(i < text.size() ? text[i] : ' ');
  }
}

void fill_controller(Page& page, std::string_view serial) {
  put_text(page, 4, 20, serial);
  put_text(page, 24, 40, "cpp-vmm NVMe example");
  put_text(page, 64, 8, "1");
  page[77] = std::byte{Controller::kMaxTransferShift};
  put(page, 80, std::uint32_t{0x0001'0200});
  page[259] = std::byte{Controller::kMaxEvents - 1};
  page[512] = std::byte{0x66};  // entries of 64 bytes,
  page[513] = std::byte{0x44};  // and of 16
  put(page, 516, std::uint32_t{1});
  page[525] = std::byte{1};  // what is written may be in a cache
}

void fill_namespace(Page& page, std::uint64_t blocks) {
  put(page, 0, blocks);
  put(page, 8, blocks);
  put(page, 16, blocks);
  page[130] = std::byte{Controller::kBlockShift};  // of the first format
}

}  // namespace

Controller::Outcome Controller::admin(const Command& command) {
  switch (static_cast<Admin>(command.opcode)) {
    case Admin::kIdentify:
      return identify(command);
    case Admin::kCreateCompletions:
      return create_completions(command);
    case Admin::kCreateSubmissions:
      return create_submissions(command);
    case Admin::kDeleteCompletions:
      return delete_completions(command);
    case Admin::kDeleteSubmissions:
      return delete_submissions(command);
    case Admin::kSetFeatures:
    case Admin::kGetFeatures:
      return feature(command);
    case Admin::kAbort:
      return {.result = 1};  // it is done already
    case Admin::kAsyncEvent:
      if (events_ == kMaxEvents) return {.status = Status::kTooManyEvents};
      ++events_;
      return {.later = true};
    default:
      return {.status = Status::kBadOpcode};
  }
}

Controller::Outcome Controller::identify(const Command& command) {
  Page page{};
  switch (command.words[0] & 0xff) {
    case 0:
      if (command.name_space != 1) return {.status = Status::kBadNamespace};
      fill_namespace(page, blocks_);
      break;
    case 1:
      fill_controller(page, serial_);
      break;
    case 2:  // namespaces behind that one
      if (command.name_space == 0) put(page, 0, std::uint32_t{1});
      break;
    default:
      return {.status = Status::kBadField};
  }
  const auto pieces = pieces_of(*dma_, command, page.size());
  if (!pieces) return {.status = pieces.error()};
  const auto done = write_pieces(*dma_, *pieces, page);
  return {.status = done ? Status::kSuccess : done.error()};
}

Controller::Outcome Controller::create_completions(const Command& command) {
  const std::uint32_t number = command.words[0] & 0xffff;
  const std::uint32_t entries = (command.words[0] >> 16) + 1;
  const std::uint32_t flags = command.words[1];
  if (number == 0 || number > kIoQueues || completions_[number].exists) {
    return {.status = Status::kBadQueue};
  }
  if (entries < 2 || entries > kMaxEntries) return {.status = Status::kBadQueueSize};
  if ((flags & 1) == 0 || command.prp1 % kPage != 0) return {.status = Status::kBadField};
  if ((flags >> 16) >= kVectors) return {.status = Status::kBadVector};
  completions_[number] = {.exists = true,
                          .base = command.prp1,
                          .entries = entries,
                          .interrupts = (flags & 2) != 0,
                          .vector = static_cast<std::uint16_t>(flags >> 16)};
  return {};
}

Controller::Outcome Controller::create_submissions(const Command& command) {
  const std::uint32_t number = command.words[0] & 0xffff;
  const std::uint32_t entries = (command.words[0] >> 16) + 1;
  const std::uint32_t completions = command.words[1] >> 16;
  if (number == 0 || number > kIoQueues || submissions_[number].exists) {
    return {.status = Status::kBadQueue};
  }
  if (entries < 2 || entries > kMaxEntries) return {.status = Status::kBadQueueSize};
  if (completions == 0 || completions > kIoQueues || !completions_[completions].exists) {
    return {.status = Status::kBadCompletionQueue};
  }
  if ((command.words[1] & 1) == 0 || command.prp1 % kPage != 0) {
    return {.status = Status::kBadField};
  }
  submissions_[number] = {.exists = true,
                          .base = command.prp1,
                          .entries = entries,
                          .completions = static_cast<std::uint16_t>(completions)};
  return {};
}

Controller::Outcome Controller::delete_completions(const Command& command) {
  const std::uint32_t number = command.words[0] & 0xffff;
  if (number == 0 || number > kIoQueues || !completions_[number].exists) {
    return {.status = Status::kBadQueue};
  }
  const bool in_use = std::ranges::any_of(submissions_, [&](const Submissions& queue) {
    return queue.exists && queue.completions == number;
  });
  if (in_use) return {.status = Status::kBadField};
  completions_[number] = {};
  return {};
}

Controller::Outcome Controller::delete_submissions(const Command& command) {
  const std::uint32_t number = command.words[0] & 0xffff;
  if (number == 0 || number > kIoQueues || !submissions_[number].exists) {
    return {.status = Status::kBadQueue};
  }
  submissions_[number] = {};
  return {};
}

Controller::Outcome Controller::feature(const Command& command) {
  switch (command.words[0] & 0xff) {
    case kFeatureQueues:
      return {.result = (kIoQueues - 1u) << 16 | (kIoQueues - 1u)};
    case kFeatureEvents:
      return {};
    default:
      return {.status = Status::kBadField};
  }
}

}  // namespace vmm::nvme
