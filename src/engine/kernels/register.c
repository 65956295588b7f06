// Our operators, as ONNX Runtime looks for them in a library.
#include <pthread.h>
#include "ort.h"

extern const Operator product_operator, attention_operator;

typedef struct {
  const OrtApi *(*get_api)(uint32_t version);
  const char *(*get_version)(void);
} OrtBase;

/** A domain lives as long as any session that knows it: for good. */
OrtStatus *RegisterCustomOps(OrtOptions *options, const OrtBase *base) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static OrtDomain *domain;
  const OrtApi *api = base->get_api(17);
  OrtStatus *failure = NULL;
  pthread_mutex_lock(&lock);
  if (!domain) {
    failure = CREATE_DOMAIN(api)("deapd", &domain);
    if (!failure) failure = DOMAIN_ADD(api)(domain, &product_operator);
    if (!failure) failure = DOMAIN_ADD(api)(domain, &attention_operator);
  }
  pthread_mutex_unlock(&lock);
  return failure ? failure : ADD_DOMAIN(api)(options, domain);
}
