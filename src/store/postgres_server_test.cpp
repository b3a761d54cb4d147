// Starting and ending the tests' PostgreSQL.
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>

#include "store/postgres_test_server.h"
#include "store/server_store.h"

namespace merlon::store {
namespace {

const std::string kBinaries = "/usr/lib/postgresql/15/bin";

// initdb and postgres refuse to run as root.
void become_postgres_user() {
  if (::geteuid() != 0) return;
  const passwd* user = ::getpwnam("postgres");
  if (user == nullptr || ::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 ||
      ::setuid(user->pw_uid) != 0)
    ::_exit(1);
}

pid_t start_program(const std::vector<std::string>& arguments, const std::string& log) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  become_postgres_user();
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
  ::signal(SIGTERM, SIG_DFL);
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(::open("/dev/null", O_RDONLY), 0);
  ::dup2(output, 1);
  ::dup2(output, 2);
  if (::close_range(3, ~0U, 0) != 0) ::_exit(1);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(argv.front(), argv.data());
  ::_exit(1);
}

bool ended_well(pid_t child) {
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Runs until the tests' end of the pipe closes.
[[noreturn]] void keep_postgres(const std::string& directory, int pipe) {
  ::setsid();  // Ctrl-C ends the tests; this ends after them
  const std::string data = directory + "/data";
  const std::string log = directory + "/log";
  const bool made =
      ended_well(start_program({kBinaries + "/initdb", "-D", data, "-A", "trust", "-U", "merlon", "--no-sync",
                                "-E", "UTF8", "--locale=C", "--no-instructions"},
                               log));
  const pid_t postgres =
      made ? start_program({kBinaries + "/postgres", "-D", data, "-c", "listen_addresses=", "-c",
                            "unix_socket_directories=" + directory, "-c", "fsync=off", "-c",
                            "max_connections=300", "-c", "shared_buffers=32MB", "-c", "autovacuum=off"},
                           log)
           : -1;
  char byte = 0;
  while (::read(pipe, &byte, 1) < 0 && errno == EINTR) {
  }
  if (postgres > 0) {
    ::kill(postgres, SIGQUIT);
    ended_well(postgres);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  ::_exit(0);
}

PGconn* connect(const std::string& address) {
  PGconn* connection = PQconnectdb(address.c_str());
  PQsetNoticeReceiver(connection, [](void*, const PGresult*) {}, nullptr);
  return connection;
}

}  // namespace

PostgresTestServer::PostgresTestServer()
    : directory_((std::filesystem::temp_directory_path() / "merlon-pg-").string() + std::string(6, 'X')) {
  if (::access((kBinaries + "/postgres").c_str(), X_OK) != 0) {
    why_not_ = "there is no PostgreSQL 15 here: apt-get install postgresql";
    return;
  }
  std::array<int, 2> ends{};
  if (::mkdtemp(directory_.data()) == nullptr || ::pipe2(ends.data(), O_CLOEXEC) != 0) {
    why_not_ = "no directory or pipe for PostgreSQL";
    return;
  }
  if (const passwd* user = ::getpwnam("postgres"); ::geteuid() == 0 && user != nullptr)
    if (::chown(directory_.c_str(), user->pw_uid, user->pw_gid) != 0) why_not_ = "chown failed";
  if (::fork() == 0) {
    ::close(ends[1]);
    keep_postgres(directory_, ends[0]);
  }
  ::close(ends[0]);
  pipe_ = ends[1];
  for (int i = 0; i < 1200; ++i) {
    PGconn* connection = connect(address("postgres"));
    const bool ready = PQstatus(connection) == CONNECTION_OK;
    PQfinish(connection);
    if (ready) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  why_not_ = "PostgreSQL did not start within a minute; its log is in " + directory_;
}

PostgresTestServer& PostgresTestServer::instance() {
  static PostgresTestServer server;
  return server;
}

std::string PostgresTestServer::address(const std::string& database) const {
  return "postgres://merlon@/" + database + "?host=" + directory_;
}

std::string PostgresTestServer::make_database() {
  EXPECT_EQ(why_not_, "");
  if (!std::exchange(made_, true)) sql(address("postgres"), "CREATE DATABASE test TEMPLATE template0");
  sql(address("postgres"), "ALTER DATABASE test RESET ALL");
  sql(address("test"), "DROP SCHEMA IF EXISTS merlon CASCADE");
  return address("test");
}

std::string PostgresTestServer::sql(const std::string& address, const std::string& text) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(connect(address), &PQfinish);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection.get(), text.c_str()),
                                                             &PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  EXPECT_TRUE(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) << PQerrorMessage(connection.get());
  std::string rows;
  for (int row = 0; row < PQntuples(result.get()); ++row)
    for (int column = 0; column < PQnfields(result.get()); ++column)
      rows +=
          std::string(PQgetisnull(result.get(), row, column) != 0 ? "NULL"
                                                                  : PQgetvalue(result.get(), row, column)) +
          ";";
  return rows;
}

Result<std::unique_ptr<Store>> PostgresBackend::open(const Schema& schema) {
  auto store = TRY(open_postgres(address_, schema));
  store->start_finished();
  return store;
}

}  // namespace merlon::store
