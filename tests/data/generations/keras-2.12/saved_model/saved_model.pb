Š
ñ
^
AssignVariableOp
resource
value"dtype"