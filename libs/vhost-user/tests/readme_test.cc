// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// The example of the README.

#include "raw_peer.h"
#include "vmm/vhost_user/backend_session.h"
#include "vmm/vhost_user/memory_table.h"

using namespace vmm;
using namespace vmm::vhost_user;

// A back end that knows guest memory and refuses the rest.
class Handler final : public BackendHandler {
 public:
  std::uint64_t features() const override { return std::uint64_t{1} << 32; }
  std::uint64_t protocol_features() const override {
    return bit(ProtocolFeature::kConfigureMemSlots);
  }
  std::uint32_t queue_count() const override { return 1; }
  Result<Reply> handle(FrontendRequest& request) override {
    if (const auto* const table = std::get_if<request::SetMemTable>(&request)) {
      VMM_TRY_DO(memory_.set(table->regions));
      return Reply::done();
    }
    return fail(MessageError::kNotSupported);
  }

 private:
  MemoryTable memory_;
};

Result<void> serve(UniqueFd socket, Handler& handler) {
  VMM_TRY(auto connection, Connection::adopt(std::move(socket)));
  BackendSession session(std::move(connection), handler);
  for (;;) {
    VMM_TRY(const auto event, session.serve());
    if (event == Connection::Event::kClosed) return {};
    // With kNothing: wait until session.fd() is readable.
  }
}

TEST_CASE("the README's back end takes memory", "[readme]") {
  auto [ours, theirs] = socket_pair();
  RawPeer peer(std::move(ours));
  peer.send(FrontendCode::kSetMemTable,
            to_bytes(MemoryTableHeader{1, 0}) + to_bytes(MemoryRegion{.bytes = 4096}), 1);
  peer.close();
  Handler handler;
  CHECK(serve(std::move(theirs), handler));
}
