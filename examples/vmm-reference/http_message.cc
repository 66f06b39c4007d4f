// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "http_message.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string_view>
#include <utility>

namespace vmm::reference {

namespace http = boost::beast::http;

namespace {

const char* reason(unsigned status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 409:
      return "Conflict";
    case 413:
      return "Payload Too Large";
    case 429:
      return "Too Many Requests";
    default:
      return "Internal Server Error";
  }
}

// A proxy's form of a target names the host too: RFC 9112, 3.2.2.
std::string path_of(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (!boost::beast::iequals(target.substr(0, kScheme.size()), kScheme)) return std::string(target);
  const std::size_t path = target.find('/', kScheme.size());
  return path == std::string_view::npos ? "/" : std::string(target.substr(path));
}

HttpRequest::Method method_of(http::verb verb) {
  if (verb == http::verb::get) return HttpRequest::Method::kGet;
  if (verb == http::verb::put) return HttpRequest::Method::kPut;
  return HttpRequest::Method::kOther;
}

/// Whether the parser may see what has come. Beast (of Boost 1.81) aborts when the size of the last
/// chunk, which it has seen before, comes again with fewer bytes than such a body ends with.
template <class Parser>
bool may_go_on(const Parser& parser, const std::string& input) {
  constexpr std::string_view kLeastEnd = "0\r\n\r\n";
  return !parser.is_header_done() || !parser.chunked() || input.size() >= kLeastEnd.size();
}

}  // namespace

std::string HttpAnswer::text(bool keep_alive) const {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + reason(status) + "\r\n";
  out += "Server: Cloud Hypervisor API\r\n";
  out += keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
  if (body) {
    out += "Content-Type: application/json\r\n";
    out += "Content-Length: " + std::to_string(body->size()) + "\r\n";
  }
  return out + "\r\n" + body.value_or("");
}

struct HttpParser::State {
  http::request_parser<http::string_body> parser;
  bool expectation_told = false;

  State() {
    parser.header_limit(kMaxHeaderBytes);
    parser.body_limit(kMaxBodyBytes);
    parser.eager(true);
  }
};

HttpParser::HttpParser() : state_(std::make_unique<State>()) {}
HttpParser::~HttpParser() = default;

bool HttpParser::take_expectation() {
  auto& parser = state_->parser;
  if (state_->expectation_told || !parser.is_header_done() || parser.is_done()) return false;
  state_->expectation_told = true;
  return boost::beast::iequals(parser.get()[http::field::expect], "100-continue");
}

Result<std::optional<HttpRequest>, HttpError> HttpParser::take(std::string& input) {
  auto& parser = state_->parser;
  while (!input.empty() && !parser.is_done() && may_go_on(parser, input)) {
    begun_ = true;
    boost::beast::error_code error;
    const std::size_t used = parser.put(boost::asio::buffer(input), error);
    input.erase(0, used);
    if (error == http::error::body_limit) return fail(HttpError::kTooLarge);
    if (error && error != http::error::need_more) return fail(HttpError::kMalformed);
    if (error || used == 0) break;
  }
  // Of a body, only extensions of chunks and trailers wait for their end here.
  if (parser.is_header_done() && !parser.is_done() && input.size() > kMaxHeaderBytes) {
    return fail(HttpError::kMalformed);
  }
  if (!parser.is_done()) return std::optional<HttpRequest>();
  auto message = parser.release();
  HttpRequest request{.method = method_of(message.method()),
                      .target = path_of(message.target()),
                      .body = std::move(message.body()),
                      .keep_alive = message.keep_alive() && message.method() != http::verb::head,
                      .fds = {}};
  state_ = std::make_unique<State>();
  begun_ = false;
  return std::optional(std::move(request));
}

}  // namespace vmm::reference
