// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "api_service.h"

#include "vmm/base/log.h"

namespace vmm::reference {

Outcome<std::unique_ptr<ApiService>> ApiService::open(const PathOrFd& place, const Host& host,
                                                      const std::string& version) {
  VMM_TRY(ApiSocket socket, ApiSocket::open(place));
  VMM_STEP("--api-socket", auto clients_loop, event_manager::EventLoop::create());
  std::unique_ptr<ApiService> service(
      new ApiService(std::move(socket), std::move(clients_loop), host, version));
  VMM_TRY_DO(service->start());
  return service;
}

ApiService::ApiService(ApiSocket socket, event_manager::EventLoop clients_loop, const Host& host,
                       const std::string& version)
    : host_(host),
      socket_(std::move(socket)),
      clients_loop_(std::move(clients_loop)),
      routes_(host.control, version, [&loop = host.loop] { loop.stop(); }),
      self_(std::make_shared<ApiService*>(this)),
      meanwhile_{.loop = clients_loop_,
                 .begin = [this] { routes_.set_busy(true); },
                 .end = [this] { routes_.set_busy(false); }} {}

Outcome<void> ApiService::start() {
  VMM_STEP("--api-socket", server_,
           ApiServer::create(socket_->listener(), clients_loop_,
                             {.answer = [this](HttpRequest request, ApiConnection::Reply reply) {
                               take(std::move(request), std::move(reply));
                             }}));
  VMM_STEP(
      "--api-socket", registration_,
      host_.loop.add(clients_loop_.fd(), event_manager::kReadable, [this](event_manager::EventSet) {
        (void)clients_loop_.run_once(std::chrono::milliseconds(0)).has_value();
      }));
  Opener::set_meanwhile(&meanwhile_);
  return {};
}

ApiService::~ApiService() {
  *self_ = nullptr;
  Opener::set_meanwhile(nullptr);
  server_.reset();
  opening([this] { socket_.reset(); });
}

// Posted even when nothing is being done: what is carried out may run the clients' loop, which
// cannot happen within it.
void ApiService::take(HttpRequest request, ApiConnection::Reply reply) {
  if (routes_.busy() && !routes_.has_turn(request))
    return reply(routes_.answer(std::move(request)));
  if (waiting_ >= kMaxWaiting) return reply(ApiRoutes::too_many_wait());
  ++waiting_;
  auto waiting = std::make_shared<HttpRequest>(std::move(request));
  host_.loop.post([self = self_, waiting = std::move(waiting), reply = std::move(reply)] {
    if (*self != nullptr) (*self)->carry_out(std::move(*waiting), reply);
  });
}

void ApiService::carry_out(HttpRequest request, const ApiConnection::Reply& reply) {
  --waiting_;
  reply(routes_.answer(std::move(request)));
}

}  // namespace vmm::reference
