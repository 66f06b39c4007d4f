// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/server_session.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>

#include "request_parts.h"
#include "vmm/sys_util/unix_socket.h"

namespace vmm::vfio_user {
namespace {

/// Commands that make sense without an answer.
bool may_go_unanswered(Command command) {
  switch (command) {
    case Command::kDmaMap:
    case Command::kDmaUnmap:
    case Command::kSetIrqs:
    case Command::kRegionWrite:
    case Command::kRegionWriteMulti:
    case Command::kReset:
      return true;
    default:
      return false;
  }
}

/// What both sides can.
Capabilities agreed(const Capabilities& theirs, bool twin_socket) {
  Capabilities both = our_capabilities();
  both.write_multiple = both.write_multiple && theirs.write_multiple;
  both.twin_socket = twin_socket;
  if (twin_socket) both.twin_socket_fd = 0;
  return both;
}

}  // namespace

Result<std::unique_ptr<ServerSession>> ServerSession::create(UniqueFd socket, Device& device) {
  return create(std::move(socket), device, Options{});
}

Result<std::unique_ptr<ServerSession>> ServerSession::create(UniqueFd socket, Device& device,
                                                             const Options& options) {
  VMM_TRY(auto channel, Channel::adopt(std::move(socket)));
  return std::unique_ptr<ServerSession>(new ServerSession(std::move(channel), device, options));
}

ServerSession::ServerSession(Channel channel, Device& device, const Options& options)
    : channel_(std::move(channel)),
      device_(device),
      options_(options),
      dma_({.read = [this](std::uint64_t iova, std::span<std::byte> to,
                           DmaSpace::Began began) { return dma_read(iova, to, began); },
            .write = [this](std::uint64_t iova, std::span<const std::byte> from,
                            DmaSpace::Began began) { return dma_write(iova, from, began); }}) {}

ServerSession::~ServerSession() {
  if (!interrupts_) return;
  (void)unmap_all();
  device_.detached();
}

Result<ServerSession::Event> ServerSession::serve() {
  VMM_TRY(const Event event, channel_.receive());
  if (event == Event::kMessage) VMM_TRY_DO(serve_message(channel_.message()));
  return event;
}

Result<void> ServerSession::serve_message(Message message) {
  payload_.assign(message.payload.begin(), message.payload.end());
  fds_.assign(std::make_move_iterator(message.fds.begin()),
              std::make_move_iterator(message.fds.end()));
  const Request request{.header = message.header, .payload = payload_, .fds = fds_};
  auto done = check_turn(request.header);
  fatal_ = !done;
  if (done) done = execute(request);
  fds_.clear();
  if (done) return done;
  const Error error = done.error();
  if (channel_.over()) return fail(error);
  VMM_TRY_DO(channel_.reply_error(request.header, error));
  if (fatal_) return fail(error);
  return {};
}

Result<void> ServerSession::check_turn(const Header& header) const {
  const auto command = static_cast<Command>(header.command);
  if ((command == Command::kVersion) == interrupts_.has_value()) return fail(UserError::kNotNow);
  if ((header.flags & kNoReply) != 0 && !may_go_unanswered(command)) {
    return fail(UserError::kBadFlags);
  }
  return {};
}

Result<void> ServerSession::execute(const Request& request) {
  switch (static_cast<Command>(request.header.command)) {
    case Command::kVersion:
      fatal_ = true;
      return negotiate(request);
    case Command::kDmaMap:
      return map_dma(request);
    case Command::kDmaUnmap:
      return unmap_dma(request);
    case Command::kGetInfo:
      return get_info(request);
    case Command::kGetRegionInfo:
      return get_region_info(request);
    case Command::kGetRegionIoFds:
      return get_region_io_fds(request);
    case Command::kGetIrqInfo:
      return get_irq_info(request);
    case Command::kSetIrqs:
      return set_irqs(request);
    case Command::kRegionRead:
      return read_region(request);
    case Command::kRegionWrite:
      return write_region(request);
    case Command::kReset:
      return reset(request);
    case Command::kRegionWriteMulti:
      return write_many(request);
    case Command::kFeature:
      return feature(request);
    case Command::kMigrationRead:
      return read_migration(request);
    case Command::kMigrationWrite:
      return write_migration(request);
    default:
      return fail(UserError::kUnknownCommand);
  }
}

Result<void> ServerSession::negotiate(const Request& request) {
  VMM_TRY(const auto parts, parts_of<Version>(request));
  if (parts.fixed.major != kMajor) return fail(UserError::kBadVersion);
  VMM_TRY(const auto theirs, parse_capabilities(parts.data));
  if (theirs.max_data_xfer_size < kMinData) return fail(UserError::kBadJson);

  const bool twin = theirs.twin_socket && options_.twin_socket && theirs.max_msg_fds != 0;
  UniqueFd client_end;
  if (twin) {
    VMM_TRY(auto ends, sys_util::unix_socket_pair());
    client_end = std::move(ends.first);
    VMM_TRY(auto channel, Channel::adopt(std::move(ends.second)));
    twin_.emplace(std::move(channel));
  }
  const Version version{.major = kMajor, .minor = std::min(parts.fixed.minor, kMinor)};
  const std::string json = to_json(agreed(theirs, twin));
  const auto data = std::as_bytes(std::span(json.c_str(), json.size() + 1));
  const int fd = client_end.get();
  VMM_TRY_DO(channel_.reply(request.header, body_of(version, data, std::span(&fd, twin ? 1 : 0))));
  client_ = theirs;
  interrupts_.emplace(device_);
  device_.attached(dma_, *interrupts_);
  return {};
}

Result<void> ServerSession::map_dma(const Request& request) {
  const auto map = exactly_as<DmaMap>(request.payload);
  if (!map) return fail(UserError::kBadSize);
  if (request.fds.size() > 1) return fail(UserError::kBadFdCount);
  VMM_TRY_DO(dma_.add(*map, request.fds.empty() ? -1 : request.fds[0].get()));
  device_.dma_added({.iova = map->iova, .bytes = map->bytes});
  return channel_.reply(request.header, {});
}

Result<void> ServerSession::unmap_dma(const Request& request) {
  VMM_TRY(const auto unmap, whole_of<DmaUnmap>(request));
  if (unmap.flags == DmaUnmap::kAll) {
    if (unmap.iova != 0 || unmap.bytes != 0) return fail(UserError::kBadRange);
    VMM_TRY_DO(unmap_all());
  } else if (unmap.flags != 0) {
    return fail(UserError::kBadFlags);
  } else {
    const vfio::DmaSpan range{.iova = unmap.iova, .bytes = unmap.bytes};
    VMM_TRY_DO(dma_.remove(range));
    device_.dma_removed(range);
  }
  return channel_.reply(request.header, body_of(unmap));
}

Result<void> ServerSession::unmap_all() {
  while (const auto range = dma_.first()) {
    VMM_TRY_DO(dma_.remove(*range));
    device_.dma_removed(*range);
  }
  return {};
}

// Nothing but replies comes on the twin.
Result<Message> ServerSession::ask_client(Command command, const Body& body,
                                          DmaSpace::Began began) {
  const Channel::Deadline deadline = began + options_.patience;
  if (!twin_) return channel_.call(command, body, deadline, {});
  return twin_->call(command, body, deadline, [](const Message&) -> Result<void> {
    return fail(UserError::kUnknownCommand);
  });
}

Result<void> ServerSession::dma_read(std::uint64_t iova, std::span<std::byte> to,
                                     DmaSpace::Began began) {
  while (!to.empty()) {
    const DmaAccess access{.iova = iova,
                           .count = std::min<std::uint64_t>(to.size(), client_.max_data_xfer_size)};
    VMM_TRY(const Message reply, ask_client(Command::kDmaRead, body_of(access), began));
    VMM_TRY(const auto parts, parts_of<DmaAccess>(reply));
    if (parts.data.size() != access.count) return fail(UserError::kBadSize);
    std::memcpy(to.data(), parts.data.data(), parts.data.size());
    to = to.subspan(parts.data.size());
    iova += parts.data.size();
  }
  return {};
}

Result<void> ServerSession::dma_write(std::uint64_t iova, std::span<const std::byte> from,
                                      DmaSpace::Began began) {
  while (!from.empty()) {
    const DmaAccess access{
        .iova = iova, .count = std::min<std::uint64_t>(from.size(), client_.max_data_xfer_size)};
    VMM_TRY_DO(ask_client(Command::kDmaWrite,
                          body_of(access, from.first(static_cast<std::size_t>(access.count))),
                          began));
    from = from.subspan(static_cast<std::size_t>(access.count));
    iova += access.count;
  }
  return {};
}

}  // namespace vmm::vfio_user
