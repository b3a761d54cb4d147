// A request's way through the Resource Manager: who, which route, may they, what does the body say; then
// gather, then decide in one transaction with the ledger entry beside the change (architecture.md, "A
// request, step by step").
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/under_way.h"
#include "net/server.h"
#include "resource/router.h"
#include "resource/state.h"
#include "store/later_writes.h"

namespace merlon::resource {

class Pipeline {
 public:
  Pipeline(State& state, const Router& router);
  ~Pipeline();  // waits for what has begun
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  net::Response handle(const net::Request& request, const std::string& origin) const;
  std::optional<net::Response> answer_at_once(const net::Request& request, const std::string& origin) const;
  bool begin_at_once(const std::shared_ptr<const net::Request>& request, const std::string& origin,
                     const net::LateAnswer& answer);

 private:
  struct Asked;  // one request and what is known of it so far
  struct Begun;  // one that nobody's thread waits with
  Asked ask(const net::Request& request, const std::string& origin, Router::Match match,
            store::Reader* reader) const;
  // `reader`: of the snapshot to answer from, where the caller has one already.
  net::Response answer(const net::Request& request, const std::string& origin, Router::Match match,
                       store::Reader* reader) const;
  net::Response finished(const Asked& asked, Result<net::Response> answer) const;
  Result<void> prepare(Begun& begun) const;
  Result<void> take_body(Asked& asked) const;
  void committed(std::shared_ptr<Begun> begun, Result<void> written);
  static void end(std::shared_ptr<Begun> begun, Result<net::Response> answer);
  Result<net::Response> run(Asked& asked) const;
  Result<net::Response> run_public(Asked& asked) const;
  Result<net::Response> run_read(Asked& asked) const;
  Result<net::Response> read_from(Asked& asked, store::Reader& reader) const;
  Result<net::Response> run_write(Asked& asked) const;
  Result<net::Response> decide(Asked& asked, store::Transaction& tx) const;

  Result<void> authenticate(Asked& asked, store::Reader& reader) const;
  Result<void> identify(Asked& asked, store::Reader& reader) const;
  Result<void> admit(Asked& asked) const;
  Result<void> authorize(Asked& asked, store::Reader& reader) const;
  Result<void> require_step_up(Asked& asked, store::Reader& reader) const;
  Result<void> name_resource(Asked& asked) const;
  Error no_route(const Asked& asked) const;
  ledger::Entry entry_for(const Asked& asked, ledger::Decision decision) const;
  std::optional<ledger::Entry> refusal_entry(const Asked& asked, const Error& error) const;
  Result<void> enter_refusal(const Asked& asked, const Error& error) const;
  void note_unauthenticated(const Asked& asked, const Error& error) const;
  void finish(const Asked& asked, net::Response& response) const;

  State& state_;
  const Router& router_;
  store::LaterWrites* const later_;     // null: this store's writes are waited for
  std::unique_ptr<Throttle> throttle_;  // none: nobody is throttled
  UnderWay begun_;                      // not answered yet
};

}  // namespace merlon::resource
