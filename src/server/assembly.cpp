// A table of contents of the product: what exists, in which order, and what each part is given.
#include "server/assembly.h"

#include <poll.h>

#include <utility>

#include "base/log.h"
#include "machine/reach.h"
#include "net/fetch.h"
#include "net/local_address.h"
#include "resource/call.h"
#include "resource/step_up.h"
#include "server/administrators.h"
#include "server/backup_notes.h"
#include "server/state_schema.h"

namespace merlon::server {
namespace {

constexpr int kClaimAgainMs = 200;
constexpr auto kFlushEvery = std::chrono::seconds(5);

// The name asked for, which the edge has checked against those that we serve (architecture.md, Names).
std::string origin_of(const net::Request& request) { return "https://" + request.host; }

}  // namespace

Result<std::unique_ptr<Assembly>> Assembly::make(const AssemblyParameters& parameters, const Clock& clock,
                                                 Random& random) {
  auto store = TRY(store::open_store(parameters.store_url, parameters.state_dir, state_schema()));
  if (!parameters.restoring) TRY(refuse_unfinished_restore(*store));
  std::unique_ptr<recording::PlaceClaim> place;
  if (store->is_shared() && !parameters.restoring && !parameters.state_dir.empty())
    place = TRY(claim_place(*store, parameters.state_dir + "/blobs", clock, random));
  auto assembly = TRY(assemble(std::move(store), parameters, clock, random));
  assembly->place_ = std::move(place);
  return assembly;
}

Result<std::unique_ptr<Assembly>> Assembly::assemble(std::unique_ptr<store::ServerStore> store,
                                                     const AssemblyParameters& parameters, const Clock& clock,
                                                     Random& random) {
  std::unique_ptr<Assembly> a(new Assembly());
  a->store_ = std::move(store);
  a->state_dir_ = parameters.state_dir;
  a->seal_ = TRY(seal::Seal::open(*a->store_, parameters.root_key, random));
  a->settings_ = TRY(open_settings(*a->store_, *a->seal_, clock, random, parameters.domain));
  const TenantId& tenant = a->settings_.tenant;
  a->ledger_ = TRY(ledger::Ledger::open(*a->store_, *a->seal_, clock, random, tenant));
  a->directory_ = std::make_unique<identity::Directory>(tenant, clock, random);
  a->issuer_ = TRY(identity::Issuer::open(
      *a->store_, *a->seal_, clock, random,
      {.tenant = tenant, .domain = a->settings_.domain, .own_audiences = parameters.own_audiences}));
  a->access_ = std::make_unique<access::Access>(*a->directory_, clock, random);
  a->core_.reset(new resource::Core{.store = *a->store_,
                                    .seal = *a->seal_,
                                    .ledger = *a->ledger_,
                                    .directory = *a->directory_,
                                    .issuer = *a->issuer_,
                                    .access = *a->access_,
                                    .clock = clock,
                                    .random = random,
                                    .tenant = tenant,
                                    .subscription = a->settings_.subscription,
                                    .domain = a->settings_.domain,
                                    .rate_limits = parameters.rate_limits});
  a->endpoints_ = std::make_unique<identity::Endpoints>(
      *a->store_, *a->ledger_, *a->directory_, *a->issuer_, clock, random,
      identity::IssuerAccess{net::fetch, parameters.private_issuers});
  a->endpoints_->ask_fresh_where([&core = *a->core_](store::Reader& reader) -> Result<bool> {
    return !TRY(core.known_rows->is_empty(reader, resource::StepUps::table(), core.tenant));
  });
  a->manager_ = resource::Manager::make(*a->core_);
  a->begun_writes_ = dynamic_cast<resource::BegunWrites*>(a->manager_.get());
  a->grants_ = std::make_unique<grant::Grants>(*a->core_, *a->manager_);
  a->machines_ = TRY(machine::Machines::open(*a->core_, *a->manager_, *a->grants_));
  a->platform_.reset(new Platform{*a->core_, *a->manager_, *a->grants_, *a->machines_});
  a->compute_ = compute::install(*a->platform_);
  a->identities_ = managed_identity::install(*a->platform_, *a->compute_);
  a->network_ = network::install(*a->platform_, *a->compute_,
                                 parameters.state_dir.empty() ? "" : parameters.state_dir + "/flow-logs");
  std::unique_ptr<crypto::Hsm> hsm;
  if (!parameters.hsm.empty()) {
    hsm = TRY(crypto::Hsm::at(parameters.hsm));
    // Its keys wait for it; everything else does not.
    if (const auto there = hsm->probe(); !there)
      log_error("the hardware token of --hsm is not usable yet", there.error());
  }
  a->vaults_ = vault::install(*a->platform_, std::move(hsm));
  a->jit_ = jit::install(*a->platform_, *a->network_);
  TRY(a->open_recordings(parameters.recordings));
  a->bastion_ = bastion::install(*a->platform_, *a->compute_, *a->network_, *a->jit_,
                                 {.source_for = net::source_address_for,
                                  .alone = !a->store_->is_shared(),
                                  .reaches = parameters.bastion_reaches});
  a->ssh_ = TRY(ssh_identity::install(*a->platform_));
  a->credentials_ = credential::install(*a->platform_, *a->compute_, *a->vaults_, *a->ssh_);
  a->terminal_ =
      terminal::install({.platform = *a->platform_,
                         .bastion = *a->bastion_,
                         .sign_in = [made = a.get()](const net::Request& request, const std::string& origin) {
                           return made->sign_in(request, origin);
                         }});
  add_administrators_route(*a->core_, *a->manager_);
  a->timers_ = std::make_unique<store::Lease>(*a->store_, clock, "timers", Uuid::generate(random).text());
  return a;
}

// That the directory of blobs is this server's own; a copy of another's gets an id of its own. Waits some
// seconds where that is in doubt.
Result<std::unique_ptr<recording::PlaceClaim>> Assembly::claim_place(store::Store& store,
                                                                     const std::string& directory,
                                                                     const Clock& clock, Random& random) {
  using recording::PlaceClaim;
  const std::string id =
      std::string(TRY(store::open_blob_directory(directory, Uuid::generate(random).text()))->id());
  const std::string where = TRY(recording::whereabouts(directory));
  auto claim = std::make_unique<PlaceClaim>(store, clock, id, where);
  auto whose = TRY(claim->look());
  while (whose == PlaceClaim::Whose::unknown) {
    static_cast<void>(::poll(nullptr, 0, kClaimAgainMs));
    whose = TRY(claim->look());
  }
  if (whose == PlaceClaim::Whose::ours) return claim;
  const std::string own = Uuid::generate(random).text();
  log(LogLevel::error,
      "THE DIRECTORY OF BLOBS IS A COPY of that of a server that runs. It gets an id of its own, and what it "
      "holds "
      "of the other's recordings is left alone. Should this be the original: stop both servers, write the id "
      "of "
      "before into the file 'id' here, and have the copy begin without 'blobs'",
      {{"directory", directory}, {"id", id}, {"ownId", own}});
  TRY(store::rename_blob_directory(directory, own));
  claim = std::make_unique<PlaceClaim>(store, clock, own, where);
  TRY(claim->look());
  return claim;
}

// Without a state directory there is no place for them.
Result<void> Assembly::open_recordings(const recording::RecordingLimits& limits) {
  if (state_dir_.empty()) return {};
  auto blobs = TRY(store::open_blob_directory(state_dir_ + "/blobs", Uuid::generate(core_->random).text()));
  recordings_ = std::make_unique<recording::Recordings>(*store_, *seal_, *ledger_, std::move(blobs),
                                                        core_->clock, core_->random, core_->tenant, limits);
  recording_routes_ = recordings::install(*platform_, *recordings_);
  return {};
}

void Assembly::tick_recordings() {
  if (!recordings_) return;
  if (place_) {
    const auto renewed = place_->renew();
    if (!renewed && renewed.error().code == "PlaceTaken" && !std::exchange(place_is_lost_, true))
      log_error("THE RECORDINGS OF THIS SERVER may be taken for another's", renewed.error());
  }
  recordings_->tick();
  recordings::tick(*recording_routes_);
}

void Assembly::tick_flow_logs() { network_->tick_flow_logs(); }

Assembly::~Assembly() { stop(); }

void Assembly::handle(net::Request request, net::Responder respond) {
  if (request.plane == net::Plane::agents || machines_->handles(request)) {
    machines_->handle(std::move(request), std::move(respond));
    return;
  }
  if (vaults_->handles(request)) {
    vaults_->handle(std::move(request), std::move(respond));
    return;
  }
  if (terminal_->handles(request)) {
    respond(terminal_->handle(request));
    return;
  }
  if (bastion_->handles(request)) {
    respond(bastion_->handle(request));
    return;
  }
  if (request.path == "/healthz") {
    respond(resource::json_response(200, {{"status", "ok"}}));
    return;
  }
  const std::string origin = origin_of(request);
  if (auto answer = endpoints_->handle(request, origin)) {
    respond(*std::move(answer));
    return;
  }
  respond(manager_->handle(request, origin));
}

std::optional<net::Response> Assembly::sign_in(const net::Request& request, const std::string& origin) {
  return endpoints_->handle(request, origin);
}

std::optional<net::Response> Assembly::answer_at_once(const net::Request& request) {
  if (request.plane != net::Plane::control || vaults_->handles(request) || bastion_->handles(request))
    return std::nullopt;
  return manager_->answer_at_once(request, origin_of(request));
}

bool Assembly::begin_at_once(const std::shared_ptr<const net::Request>& request,
                             const net::LateAnswer& answer) {
  if (request->plane != net::Plane::control) return false;
  if (vaults_->handles(*request)) return vaults_->begin_at_once(request, answer);
  if (begun_writes_ == nullptr || bastion_->handles(*request)) return false;
  return begun_writes_->begin_at_once(request, origin_of(*request), answer);
}

std::expected<net::TunnelPlan, net::Response> Assembly::upgrade(const net::Request& request) {
  if (request.plane == net::Plane::agents) return machine::reach_of(*machines_).upgrade(request);
  if (terminal_->handles(request)) return terminal_->upgrade(request);
  if (bastion_->handles(request)) return bastion_->upgrade(request);
  Error error;
  error.kind = ErrorKind::not_found;
  error.code = "NotFound";
  error.message = "There is no WebSocket at this address.";
  return std::unexpected(resource::error_response(error));
}

void Assembly::listen_to_others(std::function<void()> wake) {
  if (!wake) return store_->on_foreign_commit({});
  store_->on_foreign_commit([this, wake = std::move(wake)] {
    others_wrote_ = true;
    machines_->others_wrote();
    wake();
  });
}

// One server on a shared database does it; alone, no lease is needed: the state directory is locked.
void Assembly::end_what_is_due() {
  grant::Grants::Guard guard;
  bool leads = true;
  if (store_->is_shared()) {
    const auto held = timers_->hold();
    // Once, not five times a second for as long as the database is away.
    if (!held && !std::exchange(lease_failed_, true))
      log_error("the lease on the timers could not be taken; trying again", held.error());
    leads = held && *held;
    if (leads) lease_failed_ = false;
    guard = [this](store::Transaction& tx) { return timers_->check(tx); };
  }
  const auto looked = bastion_->tick(guard, leads);
  if (!looked && !std::exchange(bastion_failed_, true))
    log_error("the sessions through the bastion could not be looked after; trying again", looked.error());
  if (looked) bastion_failed_ = false;
  if (!leads) return;
  if (const auto expired = grants_->expire_due(guard); !expired) log_error("expiry failed", expired.error());
  if (const auto ended = jit_->tick(guard); !ended)
    log_error("openings of people who are gone could not be looked for", ended.error());
  if (const auto done = vaults_->tick(guard); !done)
    log_error("what is due in the vaults could not be done", done.error());
}

void Assembly::tick() {
  if (others_wrote_.exchange(false))
    if (const auto followed = grants_->follow_mark(); !followed)
      log_error("the other servers' clock mark could not be read", followed.error());
  end_what_is_due();
  machines_->tick();
  const Timestamp now = core_->clock.now();
  if (now - flushed_ < kFlushEvery && now >= flushed_) return;
  flushed_ = now;
  if (const auto rotated = issuer_->tick(*ledger_); !rotated)
    log_error("the signing keys could not be looked after", rotated.error());
  if (const auto swept = terminal_->tick(); !swept)
    log_error("web sessions that are over could not be forgotten", swept.error());
  if (const auto flushed = ledger_->flush(now); !flushed)
    log_error("denials could not be written to the ledger", flushed.error());
  if (const auto entered = enter_noted_backups(*ledger_, *store_, core_->tenant, state_dir_, core_->clock);
      !entered)
    log_error("a backup could not be entered in the ledger; trying again", entered.error());
}

void Assembly::stop() {
  if (store_) store_->on_foreign_commit({});
  if (bastion_) bastion_->stop();
  if (machines_) machines_->stop();
  if (network_) network_->tick_flow_logs();
  if (recordings_) recordings_->close_all("the server stopped");
  if (place_)
    if (const auto released = place_->release(); !released)
      log_error("the place of the recordings could not be given back", released.error());
  if (timers_ && store_->is_shared())
    if (const auto released = timers_->release(); !released)
      log_error("the lease on the timers could not be given back", released.error());
  if (ledger_ && core_) {
    const auto flushed = ledger_->flush(Timestamp::max());
    if (!flushed) log_error("denials could not be written to the ledger", flushed.error());
  }
}

}  // namespace merlon::server
