// From a request to its answer. A read is answered once its entry in the ledger is durable, and no thread
// waits for that (store/later_writes.h): the writer's tells. What is quick is worked out by the thread that
// read the request (decision 0049): to wake a worker for it costs more than a signature by P-256.
#include "base/log.h"
#include "services/vault/plane.h"
#include "services/vault/revocation.h"

namespace merlon::vault {
namespace {

constexpr size_t kBodyBytesMax = 16 * 1024;  // what is parsed while others wait to be read
constexpr size_t kBegunMax = 1024;           // more are a worker's

}  // namespace

// A request whose answer waits for its entry.
struct Plane::Begun {
  Begun(Plane& by, std::shared_ptr<const net::Request> asked_with)
      : hold(by.begun_), plane(by), request(std::move(asked_with)), asked(by.asked_of(*request)) {}
  Begun(const Begun&) = delete;
  Begun& operator=(const Begun&) = delete;

  const UnderWay::Hold hold;  // the last that goes
  Plane& plane;
  const std::shared_ptr<const net::Request> request;
  Asked asked;
  net::Response response;
  std::function<void(std::shared_ptr<Begun>)> send{};
};

Plane::~Plane() { begun_.wait_for_all(); }

// The answer is made before it may leave: the writer's thread, which lets it go, has others to serve.
void Plane::enter_later(std::shared_ptr<Begun> begun, const Answer& answer) {
  begun->response = response_to(begun->asked, answer);
  later_->write_later([this, entry = entry_for(begun->asked, ledger::Decision::allowed)](
                          store::Transaction& tx) { return platform_.core.ledger.append(tx, entry); },
                      [begun](Result<void> entered) {
                        if (!entered)
                          begun->response = begun->plane.response_to(
                              begun->asked, std::unexpected(std::move(entered).error()));
                        const auto send = std::exchange(begun->send, {});
                        send(begun);
                      });
}

// Errors are a worker's: it enters them.
Result<Answer> Plane::look_quickly(Asked& asked) const {
  Answer answer;
  TRY(platform_.core.store.read([&](store::Reader& reader) -> Result<void> {
    if (!TRY(platform_.core.access.answers_at_once(reader)))
      return internal_error("rights are not known yet");
    TRY(admit(asked, reader));
    const Operation& operation = *asked.operation;
    if (!operation.is_quick) return internal_error("it is not quick");
    TRY(parse(asked));
    if (operation.load)
      TRY(operation.load(asked, reader));
    else
      answer = TRY(operation.read(asked, reader));
    return operation.is_quick(asked) ? Result<void>() : internal_error("it is not quick");
  }));
  return asked.operation->load ? asked.operation->compute(asked) : Result<Answer>(std::move(answer));
}

bool Plane::begin_at_once(const std::shared_ptr<const net::Request>& request, const net::LateAnswer& answer) {
  if (later_ == nullptr || throttle_ || request->body.size() > kBodyBytesMax || revocation_list_of(*request))
    return false;
  if (begun_.count() >= kBegunMax) return false;
  auto begun = std::make_shared<Begun>(*this, request);
  const auto found = look_quickly(begun->asked);
  if (!found) return false;
  begun->send = [answer](std::shared_ptr<Begun> done) {
    answer([done = std::move(done)] { return std::move(done->response); });
  };
  enter_later(std::move(begun), *found);
  return true;
}

void Plane::handle(net::Request request, net::Responder respond) {
  if (const auto list = revocation_list_of(request)) return respond(revocation_list(request, *list));
  auto begun = std::make_shared<Begun>(*this, std::make_shared<const net::Request>(std::move(request)));
  Asked& asked = begun->asked;
  auto found = look(asked);
  if (found && *found && later_ != nullptr) {
    begun->send = [respond](const std::shared_ptr<Begun>& done) { respond(std::move(done->response)); };
    return enter_later(std::move(begun), **found);
  }
  Result<Answer> answer = [&]() -> Result<Answer> {
    if (!found) return std::unexpected(std::move(found).error());
    if (!*found) return run_write(asked);
    TRY(platform_.core.store.write([&](store::Transaction& tx) {
      return platform_.core.ledger.append(tx, entry_for(asked, ledger::Decision::allowed));
    }));
    return **std::move(found);
  }();
  if (!answer)
    if (auto entered = enter_refusal(asked, answer.error()); !entered)
      answer = std::unexpected(std::move(entered).error());
  respond(response_to(asked, answer));
}

}  // namespace merlon::vault
