// Writes without a thread that waits for them. Who reads from the connections looks at rights and body in a
// snapshot, as a worker would; the writer's thread decides and, once the change is durable, answers. To wake
// a worker for each, and again for its commit, cost as much as the write's own statements.
//
// Whatever is not as usual goes to a worker, as if it had not been looked at: who is not known or may not, a
// body that is none, a server that counts requests.
#include "base/log.h"
#include "resource/asked.h"
#include "resource/request_checks.h"

namespace merlon::resource {
namespace {

constexpr size_t kBodyBytesMax = 16 * 1024;  // what is parsed while others wait to be read
constexpr size_t kBegunMax = 1024;           // more are a worker's: there they are counted, and refused

}  // namespace

struct Pipeline::Begun {
  Begun(Pipeline& by, std::shared_ptr<const net::Request> asked_with, net::LateAnswer answer_to)
      : hold(by.begun_), pipeline(by), request(std::move(asked_with)), answer(std::move(answer_to)) {}
  Begun(const Begun&) = delete;
  Begun& operator=(const Begun&) = delete;

  const UnderWay::Hold hold;  // the last that goes
  Pipeline& pipeline;
  const std::shared_ptr<const net::Request> request;
  net::LateAnswer answer;
  std::optional<Asked> asked;
  std::optional<net::Response> response;
};

Pipeline::~Pipeline() { begun_.wait_for_all(); }

// Nothing of this is told to anybody: what is refused here is asked again, by a worker.
Result<void> Pipeline::prepare(Begun& begun) const {
  Asked& asked = *begun.asked;
  TRY(state_.core.store.read([&](store::Reader& reader) -> Result<void> {
    if (!TRY(state_.core.access.answers_at_once(reader))) return internal_error("rights are not known yet");
    if (!asked.route->any_api_version) asked.call.api_version = TRY(check_api_version(asked.call.request));
    asked.named = name_resource(asked);
    TRY(authenticate(asked, reader));
    return authorize(asked, reader);
  }));
  return take_body(asked);
}

bool Pipeline::begin_at_once(const std::shared_ptr<const net::Request>& request, const std::string& origin,
                             const net::LateAnswer& answer) {
  if (later_ == nullptr || throttle_ || request->body.size() > kBodyBytesMax) return false;
  Router::Match match = router_.find(request->method, request->segments);
  const Route* route = match.route ? &state_.routes[*match.route] : nullptr;
  if (route == nullptr || !route->at_once || !route->write || route->gather || route->attributes)
    return false;
  if (begun_.count() >= kBegunMax) return false;
  auto begun = std::make_shared<Begun>(*this, request, answer);
  begun->asked.emplace(ask(*request, origin, std::move(match), nullptr));
  if (!prepare(*begun)) return false;
  later_->write_later(
      [this, begun](store::Transaction& tx) -> Result<void> {
        begun->response = TRY(decide(*begun->asked, tx));
        return {};
      },
      [this, begun](Result<void> written) mutable { committed(std::move(begun), std::move(written)); });
  return true;
}

// On the writer's thread. A refusal is entered in the ledger before anybody hears of it, as run() has it.
void Pipeline::committed(std::shared_ptr<Begun> begun, Result<void> written) {
  if (written) {
    net::Response response = *std::move(begun->response);
    return end(std::move(begun), std::move(response));
  }
  Error error = std::move(written).error();
  const auto entry = refusal_entry(*begun->asked, error);
  if (!entry) return end(std::move(begun), std::unexpected(std::move(error)));
  later_->write_later(
      [this, entry](store::Transaction& tx) { return state_.core.ledger.append(tx, *entry); },
      [begun = std::move(begun), refused = std::move(error)](const Result<void>& entered) mutable {
        if (!entered)
          log_error("a refused request could not be entered in the ledger", entered.error(),
                    {{"action", begun->asked->action}});
        end(std::move(begun), std::unexpected(entered ? std::move(refused) : entered.error()));
      });
}

// What makes the answer, and what was needed for it, goes to the connection's thread: on the writer's, all
// who wait would wait for that too.
void Pipeline::end(std::shared_ptr<Begun> begun, Result<net::Response> answer) {
  const net::LateAnswer late = std::move(begun->answer);
  late([ended = std::move(begun), said = std::move(answer)]() mutable {
    return ended->pipeline.finished(*ended->asked, std::move(said));
  });
}

}  // namespace merlon::resource
