// A request's way through the Resource Manager: who, which route, may they, what does the body say; then
// gather, then decide in one transaction with the ledger entry beside the change (architecture.md, "A
// request, step by step").
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "resource/router.h"
#include "resource/state.h"

namespace merlon::resource {

class Pipeline {
 public:
  Pipeline(State& state, const Router& router);
  net::Response handle(const net::Request& request, const std::string& origin) const;
  std::optional<net::Response> answer_at_once(const net::Request& request, const std::string& origin) const;

 private:
  struct Asked;  // one request and what is known of it so far
  // `reader`: of the snapshot to answer from, where the caller has one already.
  net::Response answer(const net::Request& request, const std::string& origin, Router::Match match,
                       store::Reader* reader) const;
  Result<net::Response> run(Asked& asked) const;
  Result<net::Response> run_public(Asked& asked) const;
  Result<net::Response> run_read(Asked& asked) const;
  Result<net::Response> read_from(Asked& asked, store::Reader& reader) const;
  Result<net::Response> run_write(Asked& asked) const;
  Result<net::Response> decide(Asked& asked, store::Transaction& tx) const;

  Result<void> identify(Asked& asked, store::Reader& reader) const;
  Result<void> admit(Asked& asked) const;
  Result<void> authorize(Asked& asked, store::Reader& reader) const;
  Result<void> require_step_up(Asked& asked, store::Reader& reader) const;
  Result<void> name_resource(Asked& asked) const;
  Error no_route(const Asked& asked) const;
  ledger::Entry entry_for(const Asked& asked, ledger::Decision decision) const;
  Result<void> enter_refusal(const Asked& asked, const Error& error) const;
  void note_unauthenticated(const Asked& asked, const Error& error) const;
  void finish(const Asked& asked, net::Response& response) const;

  State& state_;
  const Router& router_;
  std::unique_ptr<Throttle> throttle_;  // none: nobody is throttled
};

}  // namespace merlon::resource
