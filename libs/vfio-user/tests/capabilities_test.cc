// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/capabilities.h"

#include <string>

#include "raw_peer.h"

namespace vmm::vfio_user {
namespace {

TEST_CASE("what is not said has its default", "[capabilities]") {
  for (const char* const json : {"{}", "{\"capabilities\":{}}", "{\"other\":[1,{\"a\":null}]}",
                                 "{\"capabilities\":{\"max_dma_mapss\":7,\"x\":{\"pgsizes\":1}}}",
                                 "{\"max_msg_fds\":7}", " {\"capabilities\" : null } "}) {
    CAPTURE(json);
    const auto found = parse_capabilities(text(json));
    REQUIRE(found);
    CHECK(*found == Capabilities{});
  }
  CHECK(*parse_capabilities({}) == Capabilities{});
}

TEST_CASE("what is said is read, in any order", "[capabilities]") {
  const auto found = parse_capabilities(
      text("{\"x\":1,\"capabilities\":{\"migration\":{\"pgsize\":8192},\"write_multiple\":true,"
           "\"max_msg_fds\":8,\"twin_socket\":{\"fd_index\":3,\"supported\":true},"
           "\"max_data_xfer_size\":65536,\"pgsizes\":18446744073709551615,"
           "\"max_dma_maps\":99999999999}}"));
  REQUIRE(found);
  CHECK(*found == Capabilities{.max_msg_fds = 8,
                               .max_data_xfer_size = 65536,
                               .max_dma_maps = 0xffff'ffff,
                               .pgsizes = ~std::uint64_t{0},
                               .migration_pgsize = 8192,
                               .write_multiple = true,
                               .twin_socket = true,
                               .twin_socket_fd = 3});
}

TEST_CASE("what we say can be read", "[capabilities]") {
  Capabilities said = our_capabilities();
  CHECK(*parse_capabilities(text(to_json(said))) == said);
  said.migration_pgsize = 4096;
  said.twin_socket_fd = 1;
  said.write_multiple = false;
  CHECK(*parse_capabilities(text(to_json(said))) == said);
}

TEST_CASE("other texts are refused", "[capabilities][hostile]") {
  std::string deep = "{\"a\":";
  for (int i = 0; i < 100; ++i) deep += "[";
  const std::string cases[] = {
      "",
      "{",
      "[",
      "{}x",
      "{\"capabilities\":{}",
      "{\"capabilities\":{\"max_msg_fds\":-1}}",
      "{\"capabilities\":{\"max_msg_fds\":\"1\"}}",
      "{\"capabilities\":{\"max_msg_fds\":1.5}}",
      "{\"capabilities\":{\"max_msg_fds\":true}}",
      "{\"capabilities\":{\"max_msg_fds\":[1]}}",
      "{\"capabilities\":{\"max_msg_fds\":{}}}",
      "{\"capabilities\":{\"write_multiple\":1}}",
      "{\"capabilities\":{\"migration\":1}}",
      "{\"capabilities\":{\"twin_socket\":{\"supported\":1}}}",
      "{\"capabilities\":{\"twin_socket\":\"yes\"}}",
      deep,
      "{\"" + std::string(300, 'k') + "\":1}",
      "{\"a\":\"" + std::string(5000, 's') + "\"}",
  };
  for (const std::string& json : cases) {
    CAPTURE(json.substr(0, 60));
    CHECK_FALSE(parse_capabilities(text(json)).has_value());
  }
  Bytes no_end = text("{}");
  no_end.pop_back();
  CHECK_FALSE(parse_capabilities(no_end).has_value());
}

}  // namespace
}  // namespace vmm::vfio_user
