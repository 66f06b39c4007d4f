// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::reference {

/// A whole request of an API client.
struct HttpRequest {
  enum class Method : std::uint8_t { kGet, kPut, kOther };

  Method method = Method::kOther;
  std::string target;  ///< its path, also when the client named the host with it
  std::string body;
  bool keep_alive = true;     ///< the client may send more on this connection; not after HEAD
  std::vector<UniqueFd> fds;  ///< that came with the request's bytes
};

/// An answer to it.
struct HttpAnswer {
  unsigned status = 204;
  std::optional<std::string> body{};  ///< JSON; nullopt: none, and no Content-Length either

  /// The bytes to send. The spelling of the headers is part of the contract with clients.
  [[nodiscard]] std::string text(bool keep_alive) const;
};

/// Why bytes are no request. The connection cannot be used after the answer.
enum class HttpError : std::uint8_t {
  kMalformed,  ///< not HTTP/1.x, or headers, a chunk's extension or trailers that are too long
  kTooLarge,   ///< the body has more than HttpParser::kMaxBodyBytes
};

/// Makes requests of a client's bytes: HTTP/1.1, RFC 9112.
class HttpParser {
 public:
  static constexpr std::uint32_t kMaxHeaderBytes = 16 << 10;
  static constexpr std::uint64_t kMaxBodyBytes = 4 << 20;

  HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;
  ~HttpParser();

  /// Takes bytes from the front of `input`; what it leaves there belongs to the next request, or
  /// needs more bytes. The request, when it is whole; nullopt: more is needed.
  Result<std::optional<HttpRequest>, HttpError> take(std::string& input);
  /// Whether the client waits for "100 Continue" before it sends the body. Once a request.
  [[nodiscard]] bool take_expectation();
  /// Whether a request has begun and is not whole.
  [[nodiscard]] bool in_request() const { return begun_; }

 private:
  struct State;

  std::unique_ptr<State> state_;
  bool begun_ = false;
};

}  // namespace vmm::reference
