// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The commands of a client that ask about a device and use it.

#include <cerrno>
#include <cstring>
#include <utility>

#include "vmm/base/checked.h"
#include "vmm/vfio/device_info.h"
#include "vmm/vfio_user/client.h"

namespace vmm::vfio_user {
namespace {

/// The reply that has the form of its command. Errors: kBadSize, kBadFdCount.
template <class T>
Result<T> reply_as(const Message& reply) {
  const auto value = exactly_as<T>(reply.payload);
  if (!value) return fail(UserError::kBadSize);
  if (!reply.fds.empty()) return fail(UserError::kBadFdCount);
  return *value;
}

template <class T>
Body body_of(const T& fixed, std::span<const std::byte> data = {}) {
  return {.fixed = bytes_of(fixed), .data = data, .fds = {}};
}

}  // namespace

using Clock = sys_util::Patience::Clock;

Channel::Deadline Client::deadline_from(Clock::time_point begun) {
  return std::min(begun + patience_.left(begun), limit_);
}

Result<void> Client::spent(Clock::time_point begun, Result<void> done) {
  patience_.spend(begun, Clock::now());
  return done;
}

Result<DeviceInfo> Client::device_info() {
  const DeviceInfo question;
  const MutexLock lock(calls_);
  VMM_TRY(const Message reply, call(Command::kGetInfo, body_of(question)));
  // Versions to come may have more to say.
  const auto info = front_as<DeviceInfo>(reply.payload);
  if (!info) return fail(UserError::kBadSize);
  return *info;
}

Result<RegionAnswer> Client::region_info(std::uint32_t region) {
  RegionInfo question{.index = region};
  question.argsz = vfio::kMaxInfoBytes;
  const MutexLock lock(calls_);
  VMM_TRY(const Message reply, call(Command::kGetRegionInfo, body_of(question)));
  const auto info = front_as<RegionInfo>(reply.payload);
  if (!info || info->index != region || reply.payload.size() > vfio::kMaxInfoBytes) {
    return fail(UserError::kBadSize);
  }
  if (reply.fds.size() > 1) return fail(UserError::kBadFdCount);
  RegionAnswer answer{.info = {reply.payload.begin(), reply.payload.end()}, .file = {}};
  if (!reply.fds.empty()) answer.file = std::move(reply.fds[0]);
  return answer;
}

Result<IoEvents> Client::io_events(std::uint32_t region, std::uint64_t region_bytes) {
  RegionIoFds question{.index = region};
  question.argsz = vfio::kMaxInfoBytes;
  const MutexLock lock(calls_);
  VMM_TRY(const Message reply, call(Command::kGetRegionIoFds, body_of(question)));
  const auto head = front_as<RegionIoFds>(reply.payload);
  if (!head || head->index != region) return fail(UserError::kBadSize);
  const auto entries = reply.payload.subspan(sizeof(RegionIoFds));
  if (entries.size() != std::uint64_t{head->count} * sizeof(RegionIoFd)) {
    return fail(UserError::kBadSize);
  }
  IoEvents answer;
  std::vector<bool> used(reply.fds.size());
  for (std::uint32_t i = 0; i < head->count; ++i) {
    const auto entry = *front_as<RegionIoFd>(entries.subspan(i * sizeof(RegionIoFd)));
    if (entry.type != RegionIoFd::kIoEventFd) continue;
    if (!fits(entry.offset, entry.bytes, region_bytes)) return fail(UserError::kBadRange);
    if (entry.fd_index >= reply.fds.size()) return fail(UserError::kBadFdCount);
    used[entry.fd_index] = true;
    answer.events.push_back({.offset = entry.offset,
                             .bytes = entry.bytes,
                             .value = (entry.flags & RegionIoFd::kDataMatch) != 0
                                          ? std::optional(entry.value)
                                          : std::nullopt,
                             .fd = reply.fds[entry.fd_index].get()});
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (used[i]) answer.fds.push_back(std::move(reply.fds[i]));
  }
  return answer;
}

Result<IrqInfo> Client::irq_info(std::uint32_t index) {
  const IrqInfo question{.index = index};
  const MutexLock lock(calls_);
  VMM_TRY(const Message reply, call(Command::kGetIrqInfo, body_of(question)));
  VMM_TRY(const auto info, reply_as<IrqInfo>(reply));
  if (info.index != index) return fail(UserError::kBadSize);
  return info;
}

Result<void> Client::set_irqs(const IrqAction& action, std::span<const std::byte> data,
                              std::span<const int> fds) {
  const IrqSet set{.argsz = static_cast<std::uint32_t>(sizeof(IrqSet) + data.size()),
                   .flags = action.flags,
                   .index = action.index,
                   .first = action.first,
                   .count = action.count};
  const MutexLock lock(calls_);
  const auto begun = Clock::now();
  return spent(
      begun, call_for_nothing(Command::kSetIrqs, {.fixed = bytes_of(set), .data = data, .fds = fds},
                              deadline_from(begun)));
}

Result<void> Client::read_region(std::uint32_t region, std::uint64_t offset,
                                 std::span<std::byte> bytes) {
  const MutexLock lock(calls_);
  const auto begun = Clock::now();
  return spent(begun, read_region(region, offset, bytes, deadline_from(begun)));
}

Result<void> Client::read_region(std::uint32_t region, std::uint64_t offset,
                                 std::span<std::byte> bytes, Channel::Deadline deadline) {
  while (!bytes.empty()) {
    const RegionAccess access{
        .offset = offset,
        .region = region,
        .count = static_cast<std::uint32_t>(std::min(bytes.size(), most_data()))};
    VMM_TRY(const Message reply, call(Command::kRegionRead, body_of(access), deadline));
    if (!reply.fds.empty()) return fail(UserError::kBadFdCount);
    const auto echo = front_as<RegionAccess>(reply.payload);
    if (!echo || echo->count != access.count ||
        reply.payload.size() != sizeof(access) + access.count) {
      return fail(UserError::kBadSize);
    }
    std::memcpy(bytes.data(), reply.payload.data() + sizeof(access), access.count);
    bytes = bytes.subspan(access.count);
    offset += access.count;
  }
  return {};
}

Result<void> Client::write_region(std::uint32_t region, std::uint64_t offset,
                                  std::span<const std::byte> bytes) {
  const MutexLock lock(calls_);
  const auto begun = Clock::now();
  return spent(begun, write_region(region, offset, bytes, deadline_from(begun)));
}

Result<void> Client::write_region(std::uint32_t region, std::uint64_t offset,
                                  std::span<const std::byte> bytes, Channel::Deadline deadline) {
  while (!bytes.empty()) {
    const RegionAccess access{
        .offset = offset,
        .region = region,
        .count = static_cast<std::uint32_t>(std::min(bytes.size(), most_data()))};
    VMM_TRY(const Message reply,
            call(Command::kRegionWrite, body_of(access, bytes.first(access.count)), deadline));
    VMM_TRY_DO(reply_as<RegionAccess>(reply));
    bytes = bytes.subspan(access.count);
    offset += access.count;
  }
  return {};
}

Result<void> Client::post_write(std::uint32_t region, std::uint64_t offset,
                                std::span<const std::byte> bytes) {
  if (bytes.empty() || bytes.size() > most_data()) return fail(UserError::kBadRange);
  const RegionAccess access{
      .offset = offset, .region = region, .count = static_cast<std::uint32_t>(bytes.size())};
  const MutexLock lock(calls_);
  return channel_.post(Command::kRegionWrite, body_of(access, bytes));
}

Result<void> Client::write_many(std::span<const SmallWrite> writes) {
  for (const SmallWrite& write : writes) {
    if (write.count == 0 || write.count > write.data.size()) return fail(UserError::kBadRange);
  }
  const MutexLock lock(calls_);
  const auto begun = Clock::now();
  return spent(begun, write_many(writes, deadline_from(begun)));
}

Result<void> Client::write_many(std::span<const SmallWrite> writes, Channel::Deadline deadline) {
  if (!server_.write_multiple) {
    for (const SmallWrite& write : writes) {
      VMM_TRY_DO(write_region(write.region, write.offset,
                              std::span<const std::byte>(write.data).first(write.count), deadline));
    }
    return {};
  }
  while (!writes.empty()) {
    const std::uint64_t count = std::min(writes.size(), kMaxSmallWrites);
    VMM_TRY(const Message reply,
            call(Command::kRegionWriteMulti, body_of(count, std::as_bytes(writes.first(count))),
                 deadline));
    VMM_TRY(const auto done, reply_as<std::uint64_t>(reply));
    if (done != count) return fail(Error::os(EIO, "VFIO_USER_REGION_WRITE_MULTI"));
    writes = writes.subspan(count);
  }
  return {};
}

Result<std::vector<std::byte>> Client::feature(std::uint32_t flags,
                                               std::span<const std::byte> data) {
  const Feature head{.argsz = kMaxData, .flags = flags};
  const MutexLock lock(calls_);
  VMM_TRY(const Message reply, call(Command::kFeature, body_of(head, data)));
  const auto echo = front_as<Feature>(reply.payload);
  if (!echo || echo->flags != flags) return fail(UserError::kBadSize);
  if (!reply.fds.empty()) return fail(UserError::kBadFdCount);
  const auto rest = reply.payload.subspan(sizeof(Feature));
  return std::vector<std::byte>(rest.begin(), rest.end());
}

Result<std::size_t> Client::read_migration(std::span<std::byte> to) {
  const MutexLock lock(calls_);
  const auto end = deadline();
  std::size_t read = 0;
  while (read < to.size()) {
    const auto part = static_cast<std::uint32_t>(std::min(to.size() - read, most_data()));
    const MigrationData question{.argsz = static_cast<std::uint32_t>(sizeof(MigrationData)) + part,
                                 .bytes = part};
    VMM_TRY(const Message reply, call(Command::kMigrationRead, body_of(question), end));
    const auto head = front_as<MigrationData>(reply.payload);
    if (!head || head->bytes > part ||
        reply.payload.size() != sizeof(MigrationData) + head->bytes) {
      return fail(UserError::kBadSize);
    }
    if (head->bytes != 0) {
      std::memcpy(to.data() + read, reply.payload.data() + sizeof(MigrationData), head->bytes);
    }
    read += head->bytes;
    if (head->bytes < part) break;
  }
  return read;
}

Result<void> Client::write_migration(std::span<const std::byte> from) {
  const MutexLock lock(calls_);
  const auto end = deadline();
  while (!from.empty()) {
    const auto part = static_cast<std::uint32_t>(std::min(from.size(), most_data()));
    const MigrationData head{.argsz = static_cast<std::uint32_t>(sizeof(MigrationData)) + part,
                             .bytes = part};
    VMM_TRY_DO(call_for_nothing(Command::kMigrationWrite, body_of(head, from.first(part)), end));
    from = from.subspan(part);
  }
  return {};
}

}  // namespace vmm::vfio_user
