-- Lets the job rest: running windows are stopped, none is opened, and resets are held.
if obj.spec.suspend == true then
  error("the job is suspended already", 0)
end
obj.spec.suspend = true
return obj
