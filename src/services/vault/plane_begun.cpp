// From a request to its answer. A read is answered once its entry in the ledger is durable, and no thread
// waits for that (store/later_writes.h): the writer's tells. What is quick is worked out by the thread that
// read the request (decision 0049): to wake a worker for it costs more than a signature by P-256. What takes
// longer, and waits for nothing, goes to the threads that compute (decision 0056), with the rights that were
// just found and the key that was just opened: they are looked at once, unless so much waits that a right
// could have been withdrawn long ago.
#include "base/log.h"
#include "services/vault/plane.h"
#include "services/vault/revocation.h"

namespace merlon::vault {
namespace {

constexpr size_t kBodyBytesMax = 16 * 1024;  // what is parsed while others wait to be read
constexpr size_t kBegunMax = 1024;           // more are a worker's
constexpr size_t kComputedMax = 256;         // that many signatures by RSA are a tenth of a second's
// What was found so long ago is found out again: a right that is withdrawn has no effect after a second.
constexpr Duration kGoodFor = std::chrono::milliseconds(500);

// Azure lets a vault have a thousand access policies and as many addresses; who has that many waits for a
// worker, and nobody else does.
constexpr size_t kRulesMax = 64;

bool has_many_rules(const Vault& vault) {
  size_t count = 0;
  for (const std::string_view list :
       {"accessPolicies", "networkAcls.ipRules", "networkAcls.virtualNetworkRules"})
    if (const JsonArray* rules = array_at(vault.properties, list)) count += rules->size();
  return count > kRulesMax;
}

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
  store::LaterWrites::Expected entry_expected{};  // while it is computed
  std::function<void(std::shared_ptr<Begun>)> send{};
};

Plane::~Plane() { begun_.wait_for_all(); }

// The answer is made before it may leave: the writer's thread, which lets it go, has others to serve.
void Plane::enter_later(std::shared_ptr<Begun> begun, const Result<Answer>& answer) {
  begun->response = response_to(begun->asked, answer);
  const auto send = [](std::shared_ptr<Begun> done) {
    const auto to = std::exchange(done->send, {});
    to(std::move(done));
  };
  const auto entry = answer ? std::optional(entry_for(begun->asked, ledger::Decision::allowed))
                            : refusal_entry(begun->asked, answer.error());
  const auto no_longer_expected = std::exchange(begun->entry_expected, {});
  if (!entry) return send(std::move(begun));
  later_->write_later(
      [this, entry](store::Transaction& tx) { return platform_.core.ledger.append(tx, *entry); },
      [begun, send](Result<void> entered) {
        if (!entered)
          begun->response =
              begun->plane.response_to(begun->asked, std::unexpected(std::move(entered).error()));
        send(begun);
      });
}

// `answer`: of what is quick. Errors are a worker's: it enters them.
Result<Pace> Plane::look_at_once(Asked& asked, Answer& answer) const {
  TRY(platform_.core.store.read([&](store::Reader& reader) -> Result<void> {
    if (!TRY(platform_.core.access.answers_at_once(reader)))
      return internal_error("rights are not known yet");
    const auto vault = TRY(vaults_.get(reader, platform_.core.tenant, asked.vault_name));
    if (vault && has_many_rules(*vault)) return internal_error("its rules take long to look at");
    TRY(admit(asked, reader));
    TRY(parse(asked));
    if (asked.operation->load) return asked.operation->load(asked, reader);
    answer = TRY(asked.operation->read(asked, reader));
    return {};
  }));
  const Pace pace = asked.operation->pace(asked);
  if (pace == Pace::quick && asked.operation->load) answer = TRY(asked.operation->compute(asked));
  return pace;
}

Result<Answer> Plane::compute_in_turn(Asked& asked) const {
  const Duration waited = platform_.core.clock.now() - asked.now;
  if (waited >= Duration(0) && waited <= kGoodFor) return asked.operation->compute(asked);
  auto found = TRY(look(asked));
  return *std::move(found);  // what is loaded and computed is no write
}

bool Plane::begin_at_once(const std::shared_ptr<const net::Request>& request, const net::LateAnswer& answer,
                          const net::Compute& compute) {
  if (later_ == nullptr || throttle_ || request->body.size() > kBodyBytesMax || revocation_list_of(*request))
    return false;
  if (begun_.count() >= kBegunMax) return false;
  auto begun = std::make_shared<Begun>(*this, request);
  // What is a worker's in any case is not looked at twice.
  if (!route(begun->asked) || !begun->asked.operation->pace) return false;
  Answer found;
  const auto pace = look_at_once(begun->asked, found);
  if (!pace || *pace == Pace::waits) return false;
  begun->send = [answer](std::shared_ptr<Begun> done) {
    answer([done = std::move(done)] { return std::move(done->response); });
  };
  if (*pace == Pace::quick) {
    enter_later(std::move(begun), std::move(found));
    return true;
  }
  if (begun_.count() > kComputedMax) return false;
  begun->entry_expected = later_->expect_write();
  return compute(answer, [begun = std::move(begun)] {
    begun->plane.enter_later(begun, begun->plane.compute_in_turn(begun->asked));
  });
}

void Plane::handle(net::Request request, net::Responder respond) {
  if (const auto list = revocation_list_of(request)) return respond(revocation_list(request, *list));
  auto begun = std::make_shared<Begun>(*this, std::make_shared<const net::Request>(std::move(request)));
  Asked& asked = begun->asked;
  const auto found = look(asked);
  if (later_ != nullptr && (!found || *found)) {
    begun->send = [respond](const std::shared_ptr<Begun>& done) { respond(std::move(done->response)); };
    return enter_later(std::move(begun), found ? Result<Answer>(**found) : std::unexpected(found.error()));
  }
  Result<Answer> answer = [&]() -> Result<Answer> {
    if (!found) return std::unexpected(found.error());
    if (!*found) return run_write(asked);
    TRY(platform_.core.store.write([&](store::Transaction& tx) {
      return platform_.core.ledger.append(tx, entry_for(asked, ledger::Decision::allowed));
    }));
    return **found;
  }();
  const auto refusal = answer ? std::nullopt : refusal_entry(asked, answer.error());
  if (refusal) {
    const auto entered = platform_.core.store.write(
        [&](store::Transaction& tx) { return platform_.core.ledger.append(tx, *refusal); });
    if (!entered) answer = std::unexpected(entered.error());
  }
  respond(response_to(asked, answer));
}

}  // namespace merlon::vault
