// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "refusal.h"

#include <array>
#include <cstddef>

#include "vmm/vhost_user/message_error.h"

namespace vmm::vhost_user {
namespace {

// By their numbers, from 1 on.
constexpr std::array kNames = {
    "VHOST_USER_GET_FEATURES",
    "VHOST_USER_SET_FEATURES",
    "VHOST_USER_SET_OWNER",
    "VHOST_USER_RESET_OWNER",
    "VHOST_USER_SET_MEM_TABLE",
    "VHOST_USER_SET_LOG_BASE",
    "VHOST_USER_SET_LOG_FD",
    "VHOST_USER_SET_VRING_NUM",
    "VHOST_USER_SET_VRING_ADDR",
    "VHOST_USER_SET_VRING_BASE",
    "VHOST_USER_GET_VRING_BASE",
    "VHOST_USER_SET_VRING_KICK",
    "VHOST_USER_SET_VRING_CALL",
    "VHOST_USER_SET_VRING_ERR",
    "VHOST_USER_GET_PROTOCOL_FEATURES",
    "VHOST_USER_SET_PROTOCOL_FEATURES",
    "VHOST_USER_GET_QUEUE_NUM",
    "VHOST_USER_SET_VRING_ENABLE",
    "VHOST_USER_SEND_RARP",
    "VHOST_USER_NET_SET_MTU",
    "VHOST_USER_SET_BACKEND_REQ_FD",
    "VHOST_USER_IOTLB_MSG",
    "VHOST_USER_SET_VRING_ENDIAN",
    "VHOST_USER_GET_CONFIG",
    "VHOST_USER_SET_CONFIG",
    "VHOST_USER_CREATE_CRYPTO_SESSION",
    "VHOST_USER_CLOSE_CRYPTO_SESSION",
    "VHOST_USER_POSTCOPY_ADVISE",
    "VHOST_USER_POSTCOPY_LISTEN",
    "VHOST_USER_POSTCOPY_END",
    "VHOST_USER_GET_INFLIGHT_FD",
    "VHOST_USER_SET_INFLIGHT_FD",
    "VHOST_USER_GPU_SET_SOCKET",
    "VHOST_USER_RESET_DEVICE",
    "VHOST_USER_VRING_KICK",
    "VHOST_USER_GET_MAX_MEM_SLOTS",
    "VHOST_USER_ADD_MEM_REG",
    "VHOST_USER_REM_MEM_REG",
    "VHOST_USER_SET_STATUS",
    "VHOST_USER_GET_STATUS",
    "VHOST_USER_GET_SHARED_OBJECT",
    "VHOST_USER_SET_DEVICE_STATE_FD",
    "VHOST_USER_CHECK_DEVICE_STATE",
    "VHOST_USER_GET_SHMEM_CONFIG",
};
static_assert(kNames.size() == static_cast<std::size_t>(FrontendCode::kGetShmemConfig));

const char* name_of(FrontendCode request) {
  const auto index = static_cast<std::size_t>(request) - 1;
  return index < kNames.size() ? kNames[index] : "VHOST_USER_GET_SHMEM_CONFIG";  // the private one
}

}  // namespace

Error refusal_of(FrontendCode request) {
  const Error error = make_error(MessageError::kRefused);
  return {error.domain(), error.code(), name_of(request)};
}

}  // namespace vmm::vhost_user
