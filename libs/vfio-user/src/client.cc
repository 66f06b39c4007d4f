// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/client.h"

#include <sys/socket.h>

#include <cstring>
#include <string>
#include <utility>

namespace vmm::vfio_user {
namespace {

/// What serve() answers before others have their turn.
constexpr int kCommandsAtOnce = 64;

}  // namespace

Result<std::shared_ptr<Client>> Client::connect(UniqueFd socket) {
  return connect(std::move(socket), Options{});
}

Result<std::shared_ptr<Client>> Client::connect(UniqueFd socket, const Options& options) {
  VMM_TRY(auto channel, Channel::adopt(std::move(socket)));
  std::shared_ptr<Client> client(new Client(std::move(channel), options));
  VMM_TRY_DO(client->negotiate());
  return client;
}

Result<void> Client::negotiate() {
  Capabilities ours = our_capabilities();
  ours.twin_socket = options_.twin_socket;
  const Version version;
  const std::string json = to_json(ours);
  // With the NUL at its end.
  const auto data = std::as_bytes(std::span(json.c_str(), json.size() + 1));
  const MutexLock lock(calls_);
  VMM_TRY(const Message reply,
          call(Command::kVersion, {.fixed = bytes_of(version), .data = data, .fds = {}}));
  const auto theirs = front_as<Version>(reply.payload);
  if (!theirs) return fail(UserError::kBadSize);
  if (theirs->major != kMajor || theirs->minor > kMinor) return fail(UserError::kBadVersion);
  VMM_TRY(server_, parse_capabilities(reply.payload.subspan(sizeof(Version))));
  if (server_.max_data_xfer_size < kMinData) return fail(UserError::kBadJson);
  return take_twin(server_, reply.fds);
}

Result<void> Client::take_twin(const Capabilities& said, std::span<UniqueFd> fds) {
  if (!said.twin_socket) {
    if (!fds.empty()) return fail(UserError::kBadFdCount);
    return {};
  }
  if (!options_.twin_socket || !said.twin_socket_fd) return fail(UserError::kBadReply);
  if (*said.twin_socket_fd >= fds.size()) return fail(UserError::kBadFdCount);
  VMM_TRY(auto twin, Channel::adopt(std::move(fds[*said.twin_socket_fd])));
  const MutexLock lock(commands_);
  twin_.emplace(std::move(twin));
  command_fd_ = twin_->fd();
  return {};
}

Channel::Deadline Client::deadline() const {
  return std::min(std::chrono::steady_clock::now() + options_.patience, limit_);
}

Result<Message> Client::call(Command command, const Body& body, Channel::Deadline deadline) {
  auto reply = channel_.call(command, body, deadline,
                             [this](const Message& theirs)
                                 VMM_REQUIRES(calls_) { return answer(channel_, theirs); });
  if (channel_.over()) over_.store(true, std::memory_order_relaxed);
  return reply;
}

Result<void> Client::call_for_nothing(Command command, const Body& body) {
  const MutexLock lock(calls_);
  return call_for_nothing(command, body, deadline());
}

Result<void> Client::call_for_nothing(Command command, const Body& body,
                                      Channel::Deadline deadline) {
  VMM_TRY(const Message reply, call(command, body, deadline));
  if (!reply.payload.empty()) return fail(UserError::kBadSize);
  return {};
}

Result<void> Client::reset() { return call_for_nothing(Command::kReset, {}); }

Result<void> Client::share(const SharedMemory& memory) {
  {
    const MutexLock lock(sharing_);
    if (shared_.all().size() >= server_.max_dma_maps) {
      return fail(Error::os(ENOSPC, "share memory with a device"));
    }
    VMM_TRY_DO(shared_.add(memory));
  }
  const bool mappable = memory.fd >= 0 && server_.max_msg_fds != 0;
  const DmaMap map{.flags = (memory.device_reads ? DmaMap::kRead : 0) |
                            (memory.device_writes ? DmaMap::kWrite : 0),
                   .offset = mappable ? memory.fd_offset : 0,
                   .iova = memory.iova,
                   .bytes = memory.memory.size()};
  const auto fds = std::span(&memory.fd, mappable ? 1u : 0u);
  auto done = call_for_nothing(Command::kDmaMap, {.fixed = bytes_of(map), .data = {}, .fds = fds});
  if (!done) {
    const MutexLock lock(sharing_);
    (void)shared_.remove(memory.iova, memory.memory.size());
  }
  return done;
}

Result<void> Client::unshare(std::uint64_t iova, std::uint64_t bytes) {
  const DmaUnmap unmap{.flags = 0, .iova = iova, .bytes = bytes};
  {
    const MutexLock lock(calls_);
    const auto reply = call(Command::kDmaUnmap, {.fixed = bytes_of(unmap), .data = {}, .fds = {}});
    if (!reply && !over()) return fail(reply.error());
  }
  const MutexLock lock(sharing_);
  return shared_.remove(iova, bytes);
}

// The sockets stay, as somebody may wait on one of them.
void Client::end() {
  over_.store(true, std::memory_order_relaxed);
  const MutexLock lock(calls_);
  (void)::shutdown(channel_.fd(), SHUT_RDWR);
  {
    const MutexLock commands(commands_);
    if (twin_) (void)::shutdown(twin_->fd(), SHUT_RDWR);
  }
  const MutexLock sharing(sharing_);
  shared_ = {};
}

Result<Client::Event> Client::serve() {
  {
    const MutexLock lock(commands_);
    if (twin_) return serve_channel(*twin_);
  }
  const MutexLock lock(calls_);
  return serve_channel(channel_);
}

Result<Client::Event> Client::serve_channel(Channel& channel) {
  auto event = channel.receive();
  for (int left = kCommandsAtOnce; left != 0 && event && *event == Event::kMessage; --left) {
    const auto answered = answer(channel, channel.message());
    if (!answered) {
      event = fail(answered.error());
    } else if (left != 1) {
      event = channel.receive();
    }
  }
  if (!event || *event == Event::kClosed) over_.store(true, std::memory_order_relaxed);
  return event;
}

// What is wrong with a command is told to the server; the conversation goes on.
Result<void> Client::answer(Channel& channel, const Message& command) {
  switch (command.command()) {
    case Command::kDmaRead:
    case Command::kDmaWrite:
      return answer_dma(channel, command);
    default:
      return channel.reply_error(command.header, UserError::kUnknownCommand);
  }
}

Result<void> Client::answer_dma(Channel& channel, const Message& command) {
  const bool reads = command.command() == Command::kDmaRead;
  const auto access = front_as<DmaAccess>(command.payload);
  if (!access || !command.fds.empty()) {
    return channel.reply_error(command.header, UserError::kBadSize);
  }
  const auto rest = command.payload.subspan(sizeof(DmaAccess));
  if (access->count > kMaxData || rest.size() != (reads ? 0 : access->count)) {
    return channel.reply_error(command.header, UserError::kBadSize);
  }
  std::vector<std::byte> data(reads ? static_cast<std::size_t>(access->count) : 0);
  Result<void> done;
  {
    const MutexLock lock(sharing_);
    done = reads ? shared_.read(access->iova, data) : shared_.write(access->iova, rest);
  }
  if (!done) return channel.reply_error(command.header, done.error());
  return channel.reply(command.header, {.fixed = bytes_of(*access), .data = data, .fds = {}});
}

}  // namespace vmm::vfio_user
