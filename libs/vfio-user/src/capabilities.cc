// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/capabilities.h"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>  // the parser alone is enough, and has no exceptions
#include <limits>
#include <string_view>

#include "vmm/sys_util/page_size.h"

namespace vmm::vfio_user {
namespace {

using JsonError = boost::json::error_code;
using JsonText = boost::json::string_view;

constexpr std::size_t kMaxDepth = 8;
constexpr std::size_t kMaxKey = 64;

/// Where in the document the parser is: names of objects, and the last key.
class Path {
 public:
  void enter() {
    ++depth_;
    if (depth_ < keys_.size()) keys_[depth_].clear();
  }
  void leave() { --depth_; }
  void add_key(JsonText part) { key().append(part.data(), part.size()); }
  void next_key() { fresh_ = true; }
  void start_key() {
    if (fresh_) key().clear();
    fresh_ = false;
  }
  /// Whether the value that comes is this one of the capabilities.
  [[nodiscard]] bool is(std::string_view name) const {
    return depth_ == 2 && keys_[1] == "capabilities" && keys_[2] == name;
  }
  [[nodiscard]] bool is(std::string_view object, std::string_view name) const {
    return depth_ == 3 && keys_[1] == "capabilities" && keys_[2] == object && keys_[3] == name;
  }

 private:
  std::string& key() { return depth_ < keys_.size() ? keys_[depth_] : deep_; }

  std::array<std::string, 4> keys_;  // of the objects that we are in; 0 is not used
  std::string deep_;
  std::size_t depth_ = 0;
  bool fresh_ = true;
};

/// What basic_parser tells of a document. A false answer ends it.
class Handler {
 public:
  static constexpr std::size_t max_object_size = 64;
  static constexpr std::size_t max_array_size = 64;
  static constexpr std::size_t max_key_size = kMaxKey;
  static constexpr std::size_t max_string_size = kMaxVersionData;

  Capabilities found;

  bool on_document_begin(JsonError&) { return true; }
  bool on_document_end(JsonError&) { return true; }
  bool on_array_begin(JsonError& error) { return !is_scalar() || refuse(error); }
  bool on_array_end(std::size_t, JsonError&) { return true; }
  bool on_object_begin(JsonError& error) {
    if (is_scalar()) return refuse(error);
    path_.enter();
    return true;
  }
  bool on_object_end(std::size_t, JsonError&) {
    path_.leave();
    return true;
  }
  bool on_key_part(JsonText part, std::size_t, JsonError&) {
    path_.start_key();
    path_.add_key(part);
    return true;
  }
  bool on_key(JsonText part, std::size_t, JsonError&) {
    path_.start_key();
    path_.add_key(part);
    path_.next_key();
    return true;
  }
  bool on_string_part(JsonText, std::size_t, JsonError&) { return true; }
  bool on_string(JsonText, std::size_t, JsonError& error) { return !is_known() || refuse(error); }
  bool on_number_part(JsonText, JsonError&) { return true; }
  bool on_int64(std::int64_t value, JsonText text, JsonError& error) {
    if (value < 0) return !is_known() || refuse(error);
    return on_uint64(static_cast<std::uint64_t>(value), text, error);
  }
  bool on_uint64(std::uint64_t value, JsonText, JsonError& error);
  bool on_double(double, JsonText, JsonError& error) { return !is_known() || refuse(error); }
  bool on_bool(bool value, JsonError& error);
  bool on_null(JsonError&) { return true; }
  bool on_comment_part(JsonText, JsonError&) { return true; }
  bool on_comment(JsonText, JsonError&) { return true; }

 private:
  static bool refuse(JsonError& error) {
    error = boost::json::error::syntax;
    return false;
  }
  [[nodiscard]] bool is_scalar() const {
    return path_.is("max_msg_fds") || path_.is("max_data_xfer_size") || path_.is("max_dma_maps") ||
           path_.is("pgsizes") || path_.is("migration", "pgsize") || path_.is("write_multiple") ||
           path_.is("twin_socket", "supported") || path_.is("twin_socket", "fd_index");
  }
  [[nodiscard]] bool is_known() const {
    return is_scalar() || path_.is("migration") || path_.is("twin_socket");
  }

  Path path_;
};

std::uint32_t clamped(std::uint64_t value) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(value, std::numeric_limits<std::uint32_t>::max()));
}

bool Handler::on_uint64(std::uint64_t value, JsonText, JsonError& error) {
  if (path_.is("max_msg_fds")) {
    found.max_msg_fds = clamped(value);
  } else if (path_.is("max_data_xfer_size")) {
    found.max_data_xfer_size = clamped(value);
  } else if (path_.is("max_dma_maps")) {
    found.max_dma_maps = clamped(value);
  } else if (path_.is("pgsizes")) {
    found.pgsizes = value;
  } else if (path_.is("migration", "pgsize")) {
    found.migration_pgsize = value;
  } else if (path_.is("twin_socket", "fd_index")) {
    found.twin_socket_fd = clamped(value);
  } else {
    return !is_known() || refuse(error);
  }
  return true;
}

bool Handler::on_bool(bool value, JsonError& error) {
  if (path_.is("write_multiple")) {
    found.write_multiple = value;
  } else if (path_.is("twin_socket", "supported")) {
    found.twin_socket = value;
  } else {
    return !is_known() || refuse(error);
  }
  return true;
}

}  // namespace

Capabilities our_capabilities() {
  return {.max_msg_fds = kMaxFds,
          .max_data_xfer_size = kMaxData,
          .max_dma_maps = kMaxDmaMaps,
          .pgsizes = sys_util::page_size(),
          .migration_pgsize = std::nullopt,
          .write_multiple = true,
          .twin_socket = true,
          .twin_socket_fd = std::nullopt};
}

Result<Capabilities, UserError> parse_capabilities(std::span<const std::byte> text) {
  if (text.empty()) return Capabilities{};
  if (text.size() > kMaxVersionData || text.back() != std::byte{0}) {
    return fail(UserError::kBadJson);
  }
  boost::json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::json::basic_parser<Handler> parser(options);
  JsonError error;
  const std::size_t length = text.size() - 1;
  const std::size_t read =
      parser.write_some(false, reinterpret_cast<const char*>(text.data()), length, error);
  if (error || read != length || !parser.done()) return fail(UserError::kBadJson);
  return parser.handler().found;
}

std::string to_json(const Capabilities& capabilities) {
  std::string text =
      "{\"capabilities\":{\"max_msg_fds\":" + std::to_string(capabilities.max_msg_fds) +
      ",\"max_data_xfer_size\":" + std::to_string(capabilities.max_data_xfer_size) +
      ",\"max_dma_maps\":" + std::to_string(capabilities.max_dma_maps) +
      ",\"pgsizes\":" + std::to_string(capabilities.pgsizes);
  if (capabilities.migration_pgsize) {
    text += ",\"migration\":{\"pgsize\":" + std::to_string(*capabilities.migration_pgsize) + "}";
  }
  if (capabilities.write_multiple) text += ",\"write_multiple\":true";
  if (capabilities.twin_socket) {
    text += ",\"twin_socket\":{\"supported\":true";
    if (capabilities.twin_socket_fd) {
      text += ",\"fd_index\":" + std::to_string(*capabilities.twin_socket_fd);
    }
    text += "}";
  }
  return text + "}}";
}

}  // namespace vmm::vfio_user
