// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <utility>
#include <variant>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vhost_user/connection.h"
#include "vmm/vhost_user/message_error.h"
#include "vmm/vhost_user/payload.h"

namespace vmm::vhost_user {

/// The requests of a back end on its channel. Numbers are in their range; whether a queue, an
/// object or a shared memory region exists is for others to say.
namespace backend_request {

/// VHOST_USER_BACKEND_IOTLB_MSG: a miss or a refused access.
struct Iotlb {
  IotlbMessage message;  ///< of type kMiss or kAccessFail
};
struct ConfigChange {};
/// VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG.
struct VringHostNotifier {
  std::uint32_t index = 0;   ///< of the queue, below kMaxQueues
  std::uint64_t bytes = 0;   ///< of the file, to be mapped for the driver; not 0 with a descriptor
  std::uint64_t offset = 0;  ///< in the file, of these bytes
  UniqueFd fd;               ///< empty: there is no notifier any more
};
/// VHOST_USER_BACKEND_VRING_CALL.
struct VringCall {
  std::uint32_t index = 0;  ///< of the queue; any number
};
/// VHOST_USER_BACKEND_VRING_ERR.
struct VringErr {
  std::uint32_t index = 0;  ///< of the queue; any number
};
/// VHOST_USER_BACKEND_SHARED_OBJECT_ADD.
struct SharedObjectAdd {
  SharedObjectId id;  ///< is_valid()
};
/// VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE.
struct SharedObjectRemove {
  SharedObjectId id;  ///< is_valid()
};
/// VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP.
struct SharedObjectLookup {
  SharedObjectId id;  ///< is_valid()
};
/// VHOST_USER_BACKEND_SHMEM_MAP, or its private form.
struct ShmemMap {
  ShmemArea area;  ///< not empty; neither range passes 2^64
  UniqueFd fd;     ///< of the file to map
};
/// VHOST_USER_BACKEND_SHMEM_UNMAP, or its private form.
struct ShmemUnmap {
  ShmemArea area;  ///< as for ShmemMap
};

}  // namespace backend_request

/// One request of a back end.
using BackendRequest =
    std::variant<backend_request::Iotlb, backend_request::ConfigChange,
                 backend_request::VringHostNotifier, backend_request::VringCall,
                 backend_request::VringErr, backend_request::SharedObjectAdd,
                 backend_request::SharedObjectRemove, backend_request::SharedObjectLookup,
                 backend_request::ShmemMap, backend_request::ShmemUnmap>;
static_assert(std::variant_size_v<BackendRequest> ==
              static_cast<std::size_t>(BackendCode::kShmemUnmap));

/// What a message of a back end asks for. Takes its descriptors, but those of a bad message.
/// Errors: kReplyFlag; those of one message.
Result<BackendRequest, MessageError> parse_backend(Message message);

/// Does what a back end asks for. Threads: those of FrontendChannel.
class BackendRequestHandler {
 public:
  /// An error is told to the back end if it wants to know. For SharedObjectLookup the answer is the
  /// object's descriptor; else it is not looked at.
  virtual Result<UniqueFd> handle(BackendRequest& request) = 0;

 protected:
  ~BackendRequestHandler() = default;
};

/// The front end's end of the back end's channel: reads requests, has them done, and answers. A
/// back end that breaks the protocol ends it, and nothing more.
///
/// Threads: one at a time.
class FrontendChannel {
 public:
  /// `handler` outlives the channel.
  FrontendChannel(Connection connection, BackendRequestHandler& handler)
      : connection_(std::move(connection)), handler_(handler) {}

  /// Serves the next request, if it is there. Errors: those of Connection; MessageError.
  Result<Connection::Event> serve();
  /// The descriptor, borrowed: readable when there is something to serve.
  [[nodiscard]] int fd() const { return connection_.fd(); }

 private:
  Connection connection_;
  BackendRequestHandler& handler_;
};

}  // namespace vmm::vhost_user
