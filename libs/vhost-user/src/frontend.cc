// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/frontend.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "refusal.h"
#include "vmm/vhost_user/frontend_request.h"

namespace vmm::vhost_user {
namespace {

using Event = Connection::Event;
using Code = FrontendCode;

std::span<const int> one_fd(const int& fd) { return std::span(&fd, 1); }

Connection::Milliseconds time_until(std::chrono::steady_clock::time_point end) {
  const auto left =
      std::chrono::ceil<Connection::Milliseconds>(end - std::chrono::steady_clock::now());
  return std::max(left, Connection::Milliseconds(0));
}

template <class A>
std::vector<std::byte> joined(const A& front, std::span<const std::byte> back) {
  const auto bytes = bytes_of(front);
  std::vector<std::byte> all(bytes.begin(), bytes.end());
  all.insert(all.end(), back.begin(), back.end());
  return all;
}

/// The payload of SET_MEM_TABLE.
Result<std::vector<std::byte>> table_of(std::span<const MemoryRegion> regions,
                                        std::span<const int> fds) {
  if (regions.empty() || regions.size() > kBaselineRegions || regions.size() != fds.size()) {
    return fail(MessageError::kBadValue);
  }
  if (!std::ranges::all_of(regions, is_possible)) return fail(MessageError::kBadRange);
  const MemoryTableHeader header{.count = static_cast<std::uint32_t>(regions.size())};
  return joined(header, std::as_bytes(regions));
}

}  // namespace

Result<Frontend> Frontend::create(Connection connection) {
  Frontend frontend(std::move(connection));
  frontend.limit(kPatience);
  VMM_TRY(frontend.features_, frontend.ask_number(Code::kGetFeatures));
  if ((frontend.features_ & kFeatureProtocolFeatures) != 0) {
    VMM_TRY(frontend.offered_, frontend.ask_number(Code::kGetProtocolFeatures));
  }
  VMM_TRY_DO(frontend.order(Code::kSetOwner));
  frontend.deadline_ = Clock::time_point::max();
  return frontend;
}

Error Frontend::lose(const Error& error) {
  if (!lost_) lost_ = error;
  return *lost_;
}

Result<void> Frontend::need(ProtocolFeature feature) const {
  if (!has(feature)) return fail(MessageError::kNotNegotiated);
  return {};
}

Result<void> Frontend::send(Code code, Bytes payload, Fds fds, bool need_reply) {
  if (lost_) return fail(*lost_);
  // No conversation ends because of what was never sent.
  if (std::ranges::any_of(fds, [](int fd) { return fd < 0; })) {
    return fail(MessageError::kBadFdCount);
  }
  if (Clock::now() >= deadline_) return fail(lose(Error::os(ETIMEDOUT, "vhost-user back end")));
  const Header header{.request = static_cast<std::uint32_t>(code),
                      .flags = kVersion | (need_reply ? kNeedReply : 0),
                      .size = static_cast<std::uint32_t>(payload.size())};
  const auto sent = connection_.send(header, payload, fds);
  if (!sent) return fail(lose(sent.error()));
  return {};
}

void Frontend::serve_until_answered(Clock::time_point end) {
  while (meanwhile_.fd >= 0) {
    std::array<pollfd, 2> two{pollfd{.fd = connection_.fd(), .events = POLLIN, .revents = 0},
                              pollfd{.fd = meanwhile_.fd, .events = POLLIN, .revents = 0}};
    const int found = ::poll(two.data(), two.size(), static_cast<int>(time_until(end).count()));
    if (found < 0 && errno == EINTR) continue;
    if (found <= 0 || two[0].revents != 0) return;
    if (!meanwhile_.serve()) meanwhile_ = {};
    // Who asks without an end gets no more time by that.
    if (Clock::now() >= end) return;
  }
}

Result<Message> Frontend::next() {
  auto patience = kPatience;
  if (deadline_ != Clock::time_point::max()) {
    const auto left = std::chrono::ceil<Connection::Milliseconds>(deadline_ - Clock::now());
    patience = std::clamp(left, Connection::Milliseconds(0), kPatience);
  }
  const auto end = Clock::now() + patience;
  serve_until_answered(end);
  const auto event = connection_.wait(time_until(end));
  if (!event) return fail(lose(event.error()));
  if (*event == Event::kClosed) return fail(lose(MessageError::kPartial));
  return connection_.message();
}

Result<Message> Frontend::wait_for(Code code, std::size_t bytes) {
  VMM_TRY(const Message message, wait_for(code));
  if (message.payload.size() != bytes) return fail(lose(MessageError::kBadReply));
  return message;
}

Result<Message> Frontend::wait_for(Code code) {
  VMM_TRY(const Message message, next());
  if (message.header.request != static_cast<std::uint32_t>(code) ||
      (message.header.flags & kReply) == 0) {
    return fail(lose(MessageError::kBadReply));
  }
  return message;
}

Result<void> Frontend::order(Code code, Bytes payload, Fds fds) {
  if (has(ProtocolFeature::kReplyAck)) {
    VMM_TRY_DO(send(code, payload, fds, true));
    VMM_TRY(const Message message, wait_for(code, sizeof(std::uint64_t)));
    if (*exactly_as<std::uint64_t>(message.payload) != 0) return fail(refusal_of(code));
    return {};
  }
  return send(code, payload, fds, false);
}

Result<void> Frontend::order_acknowledged(Code code, Bytes payload, Fds fds) {
  VMM_TRY_DO(send(code, payload, fds, has(ProtocolFeature::kReplyAck)));
  VMM_TRY(const Message message, wait_for(code, sizeof(std::uint64_t)));
  if (*exactly_as<std::uint64_t>(message.payload) != 0) return fail(refusal_of(code));
  return {};
}

Result<std::uint64_t> Frontend::ask_number(Code code) {
  VMM_TRY_DO(send(code, {}, {}, false));
  VMM_TRY(const Message message, wait_for(code, sizeof(std::uint64_t)));
  return *exactly_as<std::uint64_t>(message.payload);
}

Result<UniqueFd> Frontend::ask_fd(Code code, Bytes payload) {
  VMM_TRY_DO(send(code, payload, {}, false));
  VMM_TRY(const Message message, wait_for(code, 0));
  if (message.fds.size() != 1) return fail(refusal_of(code));
  return std::move(message.fds[0]);
}

Result<void> Frontend::order_ring(Code code, std::uint32_t queue, std::uint32_t number) {
  if (queue >= kMaxQueues) return fail(MessageError::kBadQueue);
  return order(code, bytes_of(VringState{.index = queue, .number = number}));
}

Result<void> Frontend::order_ring_fd(Code code, std::uint32_t queue, int fd) {
  if (queue >= kMaxQueues) return fail(MessageError::kBadQueue);
  const std::uint64_t number = queue | (fd < 0 ? kNoFd : 0);
  return order(code, bytes_of(number), one_fd(fd).first(fd < 0 ? 0 : 1));
}

Result<void> Frontend::negotiate(std::uint64_t protocol_features) {
  if ((features_ & kFeatureProtocolFeatures) == 0) return {};
  const std::uint64_t agreed = protocol_features & offered_;
  VMM_TRY_DO(send(Code::kSetProtocolFeatures, bytes_of(agreed), {}, false));
  protocol_features_ = agreed;
  speaks_protocol_ = true;
  return {};
}

Result<void> Frontend::set_features(std::uint64_t features) {
  VMM_TRY_DO(order(Code::kSetFeatures, bytes_of(features)));
  speaks_protocol_ = (features & kFeatureProtocolFeatures) != 0;
  return {};
}

Result<void> Frontend::reset_device() {
  VMM_TRY_DO(need(ProtocolFeature::kResetDevice));
  return order(Code::kResetDevice);
}

Result<std::uint64_t> Frontend::get_queue_num() {
  VMM_TRY_DO(need(ProtocolFeature::kMq));
  constexpr std::uint64_t kMost = 0x8000;  // of a virtio transport
  VMM_TRY(const std::uint64_t count, ask_number(Code::kGetQueueNum));
  if (count > kMost) return fail(lose(MessageError::kBadReply));
  return count;
}

Result<void> Frontend::set_mem_table(std::span<const MemoryRegion> regions, Fds fds) {
  VMM_TRY(const auto table, table_of(regions, fds));
  return order(Code::kSetMemTable, table, fds);
}

Result<std::vector<MemoryRegion>> Frontend::ask_for_bases(std::span<const MemoryRegion> regions,
                                                          Fds fds) {
  VMM_TRY_DO(need(ProtocolFeature::kPagefault));
  VMM_TRY(const auto table, table_of(regions, fds));
  VMM_TRY_DO(send(Code::kSetMemTable, table, fds, false));
  VMM_TRY(const Message message, wait_for(Code::kSetMemTable, table.size()));
  std::vector<MemoryRegion> bases(regions.begin(), regions.end());
  for (std::size_t i = 0; i < bases.size(); ++i) {
    const auto at = message.payload.subspan(sizeof(MemoryTableHeader) + i * sizeof(MemoryRegion));
    const MemoryRegion base = *front_as<MemoryRegion>(at);
    if (base.guest_address != bases[i].guest_address || base.bytes != bases[i].bytes) {
      return fail(lose(MessageError::kBadReply));
    }
    bases[i].user_address = base.user_address;
  }
  return bases;
}

Result<void> Frontend::acknowledge_bases() {
  return send(Code::kSetMemTable, bytes_of(std::uint64_t{0}), {}, false);
}

Result<std::uint64_t> Frontend::get_max_mem_slots() {
  VMM_TRY_DO(need(ProtocolFeature::kConfigureMemSlots));
  return ask_number(Code::kGetMaxMemSlots);
}

Result<void> Frontend::add_region(const MemoryRegion& region, int fd) {
  VMM_TRY_DO(need(ProtocolFeature::kConfigureMemSlots));
  if (!is_possible(region)) return fail(MessageError::kBadRange);
  return order(Code::kAddMemReg, bytes_of(SingleRegion{.region = region}), one_fd(fd));
}

Result<void> Frontend::remove_region(const MemoryRegion& region) {
  VMM_TRY_DO(need(ProtocolFeature::kConfigureMemSlots));
  return order(Code::kRemMemReg, bytes_of(SingleRegion{.region = region}));
}

Result<void> Frontend::set_log_base(const LogArea& area, int fd) {
  VMM_TRY_DO(need(ProtocolFeature::kLogShmfd));
  return order_acknowledged(Code::kSetLogBase, bytes_of(area), one_fd(fd));
}

Result<void> Frontend::set_log_fd(int fd) { return order(Code::kSetLogFd, {}, one_fd(fd)); }

Result<void> Frontend::set_vring_num(std::uint32_t queue, std::uint32_t size) {
  return order_ring(Code::kSetVringNum, queue, size);
}

Result<void> Frontend::set_vring_addr(const VringAddresses& addresses) {
  if (addresses.index >= kMaxQueues) return fail(MessageError::kBadQueue);
  return order(Code::kSetVringAddr, bytes_of(addresses));
}

Result<void> Frontend::set_vring_base(std::uint32_t queue, std::uint32_t base) {
  return order_ring(Code::kSetVringBase, queue, base);
}

Result<std::uint32_t> Frontend::get_vring_base(std::uint32_t queue) {
  if (queue >= kMaxQueues) return fail(MessageError::kBadQueue);
  const VringState asked{.index = queue, .number = 0};
  VMM_TRY_DO(send(Code::kGetVringBase, bytes_of(asked), {}, false));
  VMM_TRY(const Message message, wait_for(Code::kGetVringBase, sizeof(VringState)));
  const VringState state = *exactly_as<VringState>(message.payload);
  if (state.index != queue) return fail(lose(MessageError::kBadReply));
  return state.number;
}

Result<void> Frontend::set_vring_kick(std::uint32_t queue, int fd) {
  return order_ring_fd(Code::kSetVringKick, queue, fd);
}
Result<void> Frontend::set_vring_call(std::uint32_t queue, int fd) {
  return order_ring_fd(Code::kSetVringCall, queue, fd);
}
Result<void> Frontend::set_vring_err(std::uint32_t queue, int fd) {
  return order_ring_fd(Code::kSetVringErr, queue, fd);
}

Result<void> Frontend::set_vring_enable(std::uint32_t queue, bool enable) {
  if (!speaks_protocol_) return fail(MessageError::kNotNegotiated);
  return order_ring(Code::kSetVringEnable, queue, enable ? 1 : 0);
}

Result<void> Frontend::set_vring_endian(std::uint32_t queue, bool big) {
  VMM_TRY_DO(need(ProtocolFeature::kCrossEndian));
  return order_ring(Code::kSetVringEndian, queue, big ? 1 : 0);
}

Result<void> Frontend::vring_kick(std::uint32_t queue) {
  VMM_TRY_DO(need(ProtocolFeature::kInbandNotifications));
  return order_ring(Code::kVringKick, queue, 0);
}

// A back end that fails answers at once, without a payload, or with that of an empty part.
Result<void> Frontend::get_config(std::uint32_t offset, std::span<std::byte> to) {
  VMM_TRY_DO(need(ProtocolFeature::kConfig));
  if (to.size() > kMaxPayload - sizeof(ConfigHeader)) return fail(MessageError::kBadRange);
  const ConfigHeader part{.offset = offset, .bytes = static_cast<std::uint32_t>(to.size())};
  VMM_TRY_DO(send(Code::kGetConfig, joined(part, to), {}, false));
  VMM_TRY(const Message message, next());
  if (message.payload.empty()) return fail(refusal_of(Code::kGetConfig));
  const auto answered = front_as<ConfigHeader>(message.payload);
  if (message.header.request != static_cast<std::uint32_t>(Code::kGetConfig) ||
      (message.header.flags & kReply) == 0 || !message.fds.empty() || !answered ||
      answered->offset != offset || message.payload.size() != sizeof(part) + answered->bytes) {
    return fail(lose(MessageError::kBadReply));
  }
  if (answered->bytes == 0 && part.bytes != 0) return fail(refusal_of(Code::kGetConfig));
  if (answered->bytes != part.bytes) return fail(lose(MessageError::kBadReply));
  std::memcpy(to.data(), message.payload.data() + sizeof(part), to.size());
  return {};
}

Result<void> Frontend::set_config(std::uint32_t offset, Bytes from) {
  VMM_TRY_DO(need(ProtocolFeature::kConfig));
  if (from.size() > kMaxPayload - sizeof(ConfigHeader)) return fail(MessageError::kBadRange);
  const ConfigHeader part{.offset = offset, .bytes = static_cast<std::uint32_t>(from.size())};
  return order(Code::kSetConfig, joined(part, from));
}

Result<InflightFile> Frontend::get_inflight(std::uint16_t queue_count, std::uint16_t queue_size) {
  VMM_TRY_DO(need(ProtocolFeature::kInflightShmfd));
  const InflightArea asked{.queue_count = queue_count, .queue_size = queue_size};
  VMM_TRY_DO(send(Code::kGetInflightFd, bytes_of(asked), {}, false));
  VMM_TRY(const Message message, wait_for(Code::kGetInflightFd, sizeof(InflightArea)));
  const InflightArea area = *exactly_as<InflightArea>(message.payload);
  if (message.fds.size() != 1 || area.mmap_bytes == 0) {
    return fail(refusal_of(Code::kGetInflightFd));
  }
  return InflightFile{.area = area, .fd = std::move(message.fds[0])};
}

Result<void> Frontend::set_inflight(const InflightArea& area, int fd) {
  VMM_TRY_DO(need(ProtocolFeature::kInflightShmfd));
  return order(Code::kSetInflightFd, bytes_of(area), one_fd(fd));
}

Result<std::uint8_t> Frontend::get_status() {
  VMM_TRY_DO(need(ProtocolFeature::kStatus));
  VMM_TRY(const std::uint64_t status, ask_number(Code::kGetStatus));
  if (status > 0xff) return fail(lose(MessageError::kBadReply));
  return static_cast<std::uint8_t>(status);
}

Result<void> Frontend::set_status(std::uint8_t status) {
  VMM_TRY_DO(need(ProtocolFeature::kStatus));
  return order(Code::kSetStatus, bytes_of(std::uint64_t{status}));
}

Result<void> Frontend::set_backend_channel(int fd) {
  VMM_TRY_DO(need(ProtocolFeature::kBackendReq));
  return order(Code::kSetBackendReqFd, {}, one_fd(fd));
}

Result<void> Frontend::iotlb(const IotlbMessage& message) {
  return order_acknowledged(Code::kIotlbMsg, bytes_of(message));
}

Result<void> Frontend::net_set_mtu(std::uint16_t mtu) {
  VMM_TRY_DO(need(ProtocolFeature::kMtu));
  return order(Code::kNetSetMtu, bytes_of(std::uint64_t{mtu}));
}

Result<void> Frontend::send_rarp(const std::array<std::uint8_t, 6>& mac) {
  VMM_TRY_DO(need(ProtocolFeature::kRarp));
  std::uint64_t number = 0;
  std::memcpy(&number, mac.data(), mac.size());
  return order(Code::kSendRarp, bytes_of(number));
}

Result<void> Frontend::gpu_set_socket(int fd) { return order(Code::kGpuSetSocket, {}, one_fd(fd)); }

Result<UniqueFd> Frontend::get_shared_object(const SharedObjectId& id) {
  VMM_TRY_DO(need(ProtocolFeature::kSharedObject));
  return ask_fd(Code::kGetSharedObject, bytes_of(id));
}

Result<ShmemConfig> Frontend::get_private_shmem_regions() {
  constexpr Code kCode = Code::kPrivateGetShmemRegions;
  VMM_TRY_DO(send(kCode, {}, {}, false));
  VMM_TRY(const Message message, wait_for(kCode));
  const auto count = front_as<std::uint64_t>(message.payload);
  const Bytes regions = message.payload.subspan(std::min(sizeof(*count), message.payload.size()));
  if (!count || regions.size() % sizeof(PrivateShmemRegion) != 0 ||
      *count != regions.size() / sizeof(PrivateShmemRegion)) {
    return fail(lose(MessageError::kBadReply));
  }
  ShmemConfig config;
  for (std::size_t at = 0; at < regions.size(); at += sizeof(PrivateShmemRegion)) {
    const PrivateShmemRegion region = *front_as<PrivateShmemRegion>(regions.subspan(at));
    if (region.bytes == 0 || config.bytes[region.id] != 0) {
      return fail(lose(MessageError::kBadReply));
    }
    config.bytes[region.id] = region.bytes;
    ++config.count;
  }
  return config;
}

Result<std::uint64_t> Frontend::create_crypto_session(Bytes session) {
  VMM_TRY_DO(need(ProtocolFeature::kCryptoSession));
  if (session.size() < sizeof(std::uint64_t) || session.size() > kMaxPayload) {
    return fail(MessageError::kBadValue);
  }
  constexpr Code kCode = Code::kCreateCryptoSession;
  VMM_TRY_DO(send(kCode, session, {}, false));
  VMM_TRY(const Message message, wait_for(kCode, session.size()));
  const std::size_t at = crypto_session_number_at(session.size());
  const auto number = *front_as<std::uint64_t>(message.payload.subspan(at));
  if (static_cast<std::int64_t>(number) < 0) return fail(refusal_of(kCode));
  return number;
}

Result<void> Frontend::close_crypto_session(std::uint64_t session) {
  VMM_TRY_DO(need(ProtocolFeature::kCryptoSession));
  return order(Code::kCloseCryptoSession, bytes_of(session));
}

Result<ShmemConfig> Frontend::get_shmem_config() {
  if (has(ProtocolFeature::kPrivateShmem) && !has(ProtocolFeature::kShmem)) {
    return get_private_shmem_regions();
  }
  VMM_TRY_DO(need(ProtocolFeature::kShmem));
  VMM_TRY_DO(send(Code::kGetShmemConfig, {}, {}, false));
  VMM_TRY(const Message message, wait_for(Code::kGetShmemConfig, sizeof(ShmemConfig)));
  return *exactly_as<ShmemConfig>(message.payload);
}

Result<UniqueFd> Frontend::set_device_state(const DeviceStateTransfer& transfer, int fd) {
  VMM_TRY_DO(need(ProtocolFeature::kDeviceState));
  VMM_TRY_DO(send(Code::kSetDeviceStateFd, bytes_of(transfer), one_fd(fd), false));
  VMM_TRY(const Message message, wait_for(Code::kSetDeviceStateFd, sizeof(std::uint64_t)));
  const std::uint64_t answer = *exactly_as<std::uint64_t>(message.payload);
  if ((answer & 0xff) != 0) return fail(refusal_of(Code::kSetDeviceStateFd));
  const bool has_fd = (answer & DeviceStateTransfer::kReplyNoFd) == 0;
  if (message.fds.size() != (has_fd ? 1u : 0u)) return fail(lose(MessageError::kBadReply));
  return has_fd ? std::move(message.fds[0]) : UniqueFd();
}

Result<void> Frontend::check_device_state() {
  VMM_TRY_DO(need(ProtocolFeature::kDeviceState));
  return order_acknowledged(Code::kCheckDeviceState);
}

Result<UniqueFd> Frontend::postcopy_advise() {
  VMM_TRY_DO(need(ProtocolFeature::kPagefault));
  return ask_fd(Code::kPostcopyAdvise, {});
}

Result<void> Frontend::postcopy_listen() {
  VMM_TRY_DO(need(ProtocolFeature::kPagefault));
  return order(Code::kPostcopyListen);
}

Result<void> Frontend::postcopy_end() {
  VMM_TRY_DO(need(ProtocolFeature::kPagefault));
  return order_acknowledged(Code::kPostcopyEnd);
}

}  // namespace vmm::vhost_user
