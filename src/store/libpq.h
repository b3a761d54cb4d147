// PostgreSQL's client library, loaded when a store is opened by postgres://…: it brings twenty libraries more
// (Kerberos, LDAP, another TLS). Not for other rooms.
#pragma once

#include <libpq-fe.h>

#include "base/shared_library.h"

namespace merlon::store {

struct Libpq : SharedLibrary {
  Libpq() : SharedLibrary({"libpq.so.5", "PostgreSQL's client library", "libpq5"}) {}

  decltype(&::PQclear) clear = function("PQclear");
  decltype(&::PQcmdStatus) command_status = function("PQcmdStatus");
  decltype(&::PQcmdTuples) affected = function("PQcmdTuples");
  decltype(&::PQconnectdbParams) connect = function("PQconnectdbParams");
  decltype(&::PQconninfoFree) free_address = function("PQconninfoFree");
  decltype(&::PQconninfoParse) parse_address = function("PQconninfoParse");
  decltype(&::PQconsumeInput) consume_input = function("PQconsumeInput");
  decltype(&::PQerrorMessage) error_message = function("PQerrorMessage");
  decltype(&::PQexec) execute = function("PQexec");
  decltype(&::PQexecPrepared) execute_prepared = function("PQexecPrepared");
  decltype(&::PQfinish) finish = function("PQfinish");
  decltype(&::PQfreemem) free_memory = function("PQfreemem");
  decltype(&::PQgetisnull) is_null = function("PQgetisnull");
  decltype(&::PQgetlength) length = function("PQgetlength");
  decltype(&::PQgetvalue) value = function("PQgetvalue");
  decltype(&::PQnotifies) notification = function("PQnotifies");
  decltype(&::PQntuples) rows = function("PQntuples");
  decltype(&::PQprepare) prepare = function("PQprepare");
  decltype(&::PQresultErrorField) error_field = function("PQresultErrorField");
  decltype(&::PQresultStatus) result_status = function("PQresultStatus");
  decltype(&::PQsetNoticeReceiver) set_notice_receiver = function("PQsetNoticeReceiver");
  decltype(&::PQsocket) socket = function("PQsocket");
  decltype(&::PQstatus) status = function("PQstatus");
  decltype(&::PQtransactionStatus) transaction_status = function("PQtransactionStatus");
};

// Loaded by the first call. Whoever is the first asks loaded(): PostgresAddress::parse, without which there
// is no connection.
const Libpq& libpq();

}  // namespace merlon::store
