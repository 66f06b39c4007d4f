// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Features of a device: its migration, and the log of what it writes.

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "iova_map.h"
#include "request_parts.h"
#include "vmm/vfio_user/migration.h"
#include "vmm/vfio_user/server_session.h"

namespace vmm::vfio_user {
namespace {

constexpr std::uint32_t kUses = Feature::kGet | Feature::kSet;

template <class T>
std::vector<std::byte> as_vector(const T& value) {
  const auto bytes = bytes_of(value);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

/// What can be done with a feature: kGet, kSet; 0 when there is no such.
std::uint32_t ServerSession::uses_of(std::uint32_t feature) const {
  const bool migrates = device_.migration() != nullptr;
  switch (feature) {
    case kFeatureMigration:
      return migrates ? Feature::kGet : 0;
    case kFeatureMigrationState:
      return migrates ? Feature::kGet | Feature::kSet : 0;
    case kFeatureLogStart:
    case kFeatureLogStop:
      return Feature::kSet;
    case kFeatureLogReport:
      return Feature::kGet;
    default:
      return 0;
  }
}

Result<void> ServerSession::feature(const Request& request) {
  VMM_TRY(const auto parts, parts_of<Feature>(request));
  const std::uint32_t flags = parts.fixed.flags;
  if ((flags & ~(Feature::kNumber | kUses | Feature::kProbe)) != 0) {
    return fail(UserError::kBadFlags);
  }
  const std::uint32_t uses = flags & kUses;
  const std::uint32_t offered = uses_of(flags & Feature::kNumber);
  if (offered == 0 || (uses & ~offered) != 0) return fail(Error::os(ENOTTY, "device feature"));
  std::vector<std::byte> data;
  if ((flags & Feature::kProbe) == 0) {
    if (!std::has_single_bit(uses)) return fail(UserError::kBadFlags);
    VMM_TRY(data, do_feature(flags, parts.data));
  }
  const Feature answer{.argsz = static_cast<std::uint32_t>(sizeof(Feature) + data.size()),
                       .flags = flags};
  if (parts.fixed.argsz < answer.argsz) return fail(UserError::kBadSize);
  return channel_.reply(request.header, body_of(answer, data));
}

Result<std::vector<std::byte>> ServerSession::do_feature(std::uint32_t flags,
                                                         std::span<const std::byte> data) {
  Migration* const migration = device_.migration();
  switch (flags & Feature::kNumber) {
    case kFeatureMigration: {
      if (migration == nullptr) break;
      return as_vector(
          MigrationFlags{.flags = MigrationFlags::kStopCopy |
                                  (migration->has_pre_copy() ? MigrationFlags::kPreCopy : 0)});
    }
    case kFeatureMigrationState: {
      if (migration == nullptr) break;
      if ((flags & Feature::kSet) != 0) {
        const auto wanted = exactly_as<MigrationStateData>(data);
        if (!wanted) return fail(UserError::kBadSize);
        if (wanted->state > static_cast<std::uint32_t>(Migration::State::kPreCopyP2p)) {
          return fail(UserError::kBadRange);
        }
        VMM_TRY_DO(migration->go(static_cast<Migration::State>(wanted->state)));
      }
      return as_vector(
          MigrationStateData{.state = static_cast<std::uint32_t>(migration->state()), .fd = -1});
    }
    case kFeatureLogStart:
      return start_log(data);
    case kFeatureLogStop:
      if (!data.empty()) return fail(UserError::kBadSize);
      dma_.stop_log();
      return std::vector<std::byte>();
    case kFeatureLogReport:
      return report_log(data);
    default:
      break;
  }
  return fail(Error::os(ENOTTY, "device feature"));
}

// All of memory is logged, in our pages, whatever the ranges.
Result<std::vector<std::byte>> ServerSession::start_log(std::span<const std::byte> data) {
  auto head = front_as<LogStart>(data);
  if (!head) return fail(UserError::kBadSize);
  const auto ranges = data.subspan(sizeof(LogStart));
  if (ranges.size() != std::uint64_t{head->count} * sizeof(LogRange)) {
    return fail(UserError::kBadSize);
  }
  for (std::size_t i = 0; i < head->count; ++i) {
    const auto range = *front_as<LogRange>(ranges.subspan(i * sizeof(LogRange)));
    if (!is_range(range.iova, range.bytes)) return fail(UserError::kBadRange);
  }
  if (!std::has_single_bit(head->page_bytes)) return fail(UserError::kBadRange);
  if (dma_.log() != nullptr) return fail(Error::os(EBUSY, "VFIO_DEVICE_FEATURE_DMA_LOGGING_START"));
  dma_.start_log();
  head->page_bytes = PageLog::kPageBytes;
  std::vector<std::byte> answer(data.begin(), data.end());
  std::memcpy(answer.data(), &*head, sizeof(LogStart));
  return answer;
}

Result<std::vector<std::byte>> ServerSession::report_log(std::span<const std::byte> data) {
  const auto question = exactly_as<LogReport>(data);
  if (!question) return fail(UserError::kBadSize);
  const std::uint64_t page = question->page_bytes;
  if (!std::has_single_bit(page) || !is_range(question->iova, question->bytes) ||
      (question->iova | question->bytes) % page != 0) {
    return fail(UserError::kBadRange);
  }
  PageLog* const log = dma_.log();
  if (log == nullptr) return fail(Error::os(EINVAL, "VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT"));
  const std::uint64_t words = (question->bytes / page - 1) / 64 + 1;
  if (words > (kMaxData - kMaxFixed) / sizeof(std::uint64_t)) return fail(UserError::kBadRange);
  std::vector<std::uint64_t> bitmap(static_cast<std::size_t>(words));
  log->take({.iova = question->iova, .bytes = question->bytes}, page, bitmap);
  auto answer = as_vector(*question);
  const auto bits = std::as_bytes(std::span(bitmap));
  answer.insert(answer.end(), bits.begin(), bits.end());
  return answer;
}

Result<void> ServerSession::read_migration(const Request& request) {
  VMM_TRY(const auto question, whole_of<MigrationData>(request));
  Migration* const migration = device_.migration();
  if (migration == nullptr) return fail(Error::os(ENOTSUP, "VFIO_USER_MIG_DATA_READ"));
  const auto state = migration->state();
  if (state != Migration::State::kPreCopy && state != Migration::State::kStopCopy) {
    return fail(Error::os(EINVAL, "VFIO_USER_MIG_DATA_READ"));
  }
  // Of argsz clients do not agree whether it holds the data: `bytes` alone counts.
  if (question.bytes > kMaxData) return fail(UserError::kBadRange);
  std::vector<std::byte> data(question.bytes);
  VMM_TRY(const std::size_t saved, migration->save(data));
  data.resize(std::min(saved, data.size()));
  const MigrationData answer{
      .argsz = static_cast<std::uint32_t>(sizeof(MigrationData) + data.size()),
      .bytes = static_cast<std::uint32_t>(data.size())};
  return channel_.reply(request.header, body_of(answer, data));
}

Result<void> ServerSession::write_migration(const Request& request) {
  VMM_TRY(const auto parts, parts_of<MigrationData>(request));
  Migration* const migration = device_.migration();
  if (migration == nullptr) return fail(Error::os(ENOTSUP, "VFIO_USER_MIG_DATA_WRITE"));
  if (migration->state() != Migration::State::kResuming) {
    return fail(Error::os(EINVAL, "VFIO_USER_MIG_DATA_WRITE"));
  }
  if (parts.data.size() != parts.fixed.bytes || parts.data.size() > kMaxData) {
    return fail(UserError::kBadSize);
  }
  VMM_TRY_DO(migration->restore(parts.data));
  return channel_.reply(request.header, {});
}

}  // namespace vmm::vfio_user
